"""Scale and crop: which pixels of an image are shown, how large, and where in the crop."""

from typing import NamedTuple

import tensorflow as tf


class Axis(NamedTuple):
    """One axis of a window; integer scalars, in pixels.

    Attributes:
        start, length: the window, in the source image.
        shown: its length after resizing.
        before, after: padding around that.
    """

    start: tf.Tensor
    length: tf.Tensor
    shown: tf.Tensor
    before: tf.Tensor
    after: tf.Tensor


class Window(NamedTuple):
    """Rows and columns of what is shown."""

    rows: Axis
    columns: Axis

    def cut(self, tensor: tf.Tensor) -> tf.Tensor:
        """The window's pixels of `(height, width, ...)`."""
        rows, columns = self
        return tensor[
            rows.start : rows.start + rows.length, columns.start : columns.start + columns.length
        ]

    @property
    def shown(self) -> tuple[tf.Tensor, tf.Tensor]:
        return self.rows.shown, self.columns.shown

    @property
    def paddings(self) -> tf.Tensor:
        """int32 `(2, 2)`, as `tf.pad` takes it."""
        return tf.stack([tf.stack(axis[3:]) for axis in self])


def plan_window(source, crop, scale, place) -> Window:
    """Plans a crop of an image that is scaled first.

    Args:
        source: int32 `(2,)`, the image's height and width.
        crop: height and width to fill; integers or int32 scalars.
        scale: float32 scalar.
        place: float32 `(2,)` in 0 ... 1, which place of all possible ones.
    """
    return Window(*(plan_axis(source[i], crop[i], scale, place[i]) for i in range(2)))


def plan_axis(size, crop, scale, place) -> Axis:
    """Where the scaled image is larger than the crop, a window of it is shown, otherwise all of it
    with padding around; `place` places the one or the other. What lies outside the window is never
    computed.
    """

    def spread(spare):
        return tf.minimum(tf.cast(place * tf.cast(spare + 1, tf.float32), tf.int32), spare)

    window = tf.maximum(tf.cast(tf.round(tf.cast(crop, tf.float32) / scale), tf.int32), 1)
    scaled = tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32)
    fits = window <= size
    length = tf.minimum(window, size)
    shown = tf.where(fits, crop, tf.clip_by_value(scaled, 1, crop))
    before = spread(crop - shown)
    return Axis(spread(size - length), length, shown, before, crop - shown - before)
