"""Pooling with an atrous rate: what a strided pool becomes where a network dilates instead."""

import functools

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ctxseg")
class AtrousPooling2D(keras.layers.Layer):
    """Maximum or mean of a window around each pixel, whose taps are `dilation` pixels apart.

    With `padding="same"`, taps outside the map do not count, in the mean neither. The centre of a
    window is a tap; a window of even size has one tap more on one side, `extra_tap`.

    Args:
        pool_size: Taps on each axis, (height, width).
        dilation: Pixels between taps.
        mode: `"max"` or `"average"`.
        padding: `"same"`, or `"valid"` for the windows inside the map.
        extra_tap: `"before"` (up and left) or `"after"` (down and right) the centre.

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Call returns:
        The same shape; with `"valid"`, height and width less `(pool_size - 1) * dilation`.
    """

    def __init__(
        self,
        pool_size: tuple[int, int],
        dilation: int = 1,
        mode: str = "max",
        padding: str = "same",
        extra_tap: str = "before",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if mode not in ("max", "average"):
            raise ValueError(f"`mode` must be 'max' or 'average'. Received: mode={mode!r}")
        if padding not in ("same", "valid"):
            raise ValueError(f"`padding` must be 'same' or 'valid'. Received: padding={padding!r}")
        if extra_tap not in ("before", "after"):
            raise ValueError(
                f"`extra_tap` must be 'before' or 'after'. Received: extra_tap={extra_tap!r}"
            )
        if dilation < 1:
            raise ValueError(f"`dilation` must be at least 1. Received: dilation={dilation}")
        height, width = pool_size
        self.pool_size = (int(height), int(width))
        self.dilation = dilation
        self.mode = mode
        self.padding = padding
        self.extra_tap = extra_tap

    def call(self, inputs):
        x = inputs
        # A window is the product of two intervals: one axis after the other.
        for axis, taps in zip((1, 2), self.pool_size, strict=True):
            x = self._along(x, axis, taps)
        return x

    def _along(self, x, axis: int, taps: int):
        combine = ops.maximum if self.mode == "max" else ops.add
        if self.padding == "valid":
            extent = (taps - 1) * self.dilation
            starts = range(0, extent + 1, self.dilation)
            parts = [_part(x, axis, slice(at, (at - extent) or None)) for at in starts]
            total = functools.reduce(combine, parts)
            return total if self.mode == "max" else total / taps
        before = taps // 2 if self.extra_tap == "before" else (taps - 1) // 2
        offsets = [(tap - before) * self.dilation for tap in range(taps)]
        if self.mode == "max":
            # The centre stands in for taps outside: a padding of -infinity would ruin int8 ranges.
            return functools.reduce(combine, [_shifted(x, axis, at, x) for at in offsets])

        def total_inside(values):
            outside = ops.zeros_like(values)
            return functools.reduce(
                combine, [_shifted(values, axis, at, outside) for at in offsets]
            )

        # One pixel along the other axes counts the taps inside.
        ones = ops.ones_like(x[:1, :, :1, :1] if axis == 1 else x[:1, :1, :, :1])
        return total_inside(x) / total_inside(ones)

    def compute_output_shape(self, input_shape):
        if self.padding == "same":
            return tuple(input_shape)
        batch, *sizes, channels = input_shape
        sizes = [
            None if size is None else size - (taps - 1) * self.dilation
            for size, taps in zip(sizes, self.pool_size, strict=True)
        ]
        return (batch, *sizes, channels)

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "dilation": self.dilation,
            "mode": self.mode,
            "padding": self.padding,
            "extra_tap": self.extra_tap,
        }


def _shifted(x, axis: int, offset: int, outside):
    """The map whose pixel i is pixel i + offset of `x`, or, where there is none, `outside`'s i."""
    if offset == 0:
        return x
    inside = slice(offset, None) if offset > 0 else slice(None, offset)
    border = slice(-offset, None) if offset > 0 else slice(None, -offset)
    parts = [_part(x, axis, inside), _part(outside, axis, border)]
    return ops.concatenate(parts if offset > 0 else parts[::-1], axis=axis)


def _part(x, axis: int, part: slice):
    return x[:, part] if axis == 1 else x[:, :, part]
