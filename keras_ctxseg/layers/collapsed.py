"""Convolutions at atrous rate 0: the control without context.

At rate 0 all taps of a kernel read the target pixel. A network keeps every parameter and loses the
receptive field, so a comparison with it isolates what the surroundings contribute (in the spirit of
BagNet, arXiv 1904.00760, which limits receptive fields by replacing 3×3 kernels by 1×1 ones).
"""

import keras
from keras import ops

from keras_ctxseg.layers.atrous_conv import AtrousConv2D

# Without neighbours there is nothing to pad, to dilate or to lay out; groups are not written.
_REFUSED = ("padding", "dilation_rate", "groups", "data_format")


class _Collapsed:
    """Refuses the options of a convolution that mean nothing at rate 0."""

    def __init__(self, *args, **kwargs):
        for name in _REFUSED:
            if name in kwargs:
                raise ValueError(
                    f"`{name}`: {type(self).__name__} takes no such option, as it reads the target "
                    f"pixel only. Received: {name}={kwargs[name]!r}"
                )
        super().__init__(*args, padding="same", data_format="channels_last", **kwargs)

    def compute_output_shape(self, input_shape):
        sizes = (
            None if size is None else -(-size // step)
            for size, step in zip(input_shape[1:3], self.strides, strict=True)
        )
        channels = super().compute_output_shape((None, None, None, input_shape[-1]))[-1]
        return (input_shape[0], *sizes, channels)

    @classmethod
    def from_config(cls, config):
        # Files of earlier versions list them, always without effect.
        return cls(**{name: value for name, value in config.items() if name not in _REFUSED})

    def get_config(self):
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in _REFUSED}


@keras.saving.register_keras_serializable("keras_ctxseg")
class CollapsedConv2D(_Collapsed, keras.layers.Conv2D):
    """Convolution whose taps all read the target pixel: `y = Σ_taps K[tap] · x`.

    Args:
        filters, kernel_size, strides, **kwargs: As for `keras.layers.Conv2D`, without those that
            mean nothing here: padding, dilation, groups and data format.
    """

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        super().__init__(filters, kernel_size, strides, **kwargs)

    def convolution_op(self, inputs, kernel):
        kernel = ops.sum(kernel, axis=(0, 1), keepdims=True)
        return ops.conv(inputs, kernel, strides=self.strides, padding="valid")


@keras.saving.register_keras_serializable("keras_ctxseg")
class CollapsedDepthwiseConv2D(_Collapsed, keras.layers.DepthwiseConv2D):
    """Depthwise convolution whose taps all read the target pixel.

    Args:
        kernel_size, strides, **kwargs: As for `keras.layers.DepthwiseConv2D`, without those that
            mean nothing here: padding, dilation and data format.
    """

    def __init__(self, kernel_size, strides=1, **kwargs):
        super().__init__(kernel_size, strides, **kwargs)

    def call(self, inputs):
        kernel = ops.sum(self.kernel, axis=(0, 1), keepdims=True)
        outputs = ops.depthwise_conv(inputs, kernel, strides=self.strides, padding="valid")
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)


_CONTROLS = {
    AtrousConv2D: CollapsedConv2D,
    keras.layers.DepthwiseConv2D: CollapsedDepthwiseConv2D,
}


def convolution_at(
    conv_class: type[keras.layers.Layer], dilation: tuple[int, ...], padding: str, **arguments
) -> keras.layers.Layer:
    """Makes a convolution of an atrous rate; at rate 0, its control without context.

    Args:
        conv_class: `AtrousConv2D` or `keras.layers.DepthwiseConv2D`.
        dilation: Atrous rates (height, width).
        padding: `"same"` or `"valid"`; the control pads nothing.
        **arguments: Of its constructor.
    """
    if dilation == (0, 0):
        return _CONTROLS[conv_class](**arguments)
    return conv_class(padding=padding, dilation_rate=dilation, **arguments)
