"""Convolutions at atrous rate 0: the control for everything that context is said to bring.

At rate 0 all taps of a kernel read the target pixel. A network keeps every parameter and loses the
receptive field, so a comparison with it isolates what the surroundings contribute (in the spirit of
BagNet, arXiv 1904.00760, which limits receptive fields by replacing 3×3 kernels by 1×1 ones).
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ctxseg")
class CollapsedConv2D(keras.layers.Conv2D):
    """Convolution whose taps all read the target pixel: `y = Σ_taps K[tap] · x`."""

    def call(self, inputs):
        kernel = ops.sum(self.kernel, axis=(0, 1), keepdims=True)
        return ops.conv(inputs, kernel, strides=self.strides, padding="valid")

    def compute_output_shape(self, input_shape):
        return (*_strided(input_shape, self.strides), self.filters)


@keras.saving.register_keras_serializable("keras_ctxseg")
class CollapsedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Depthwise convolution whose taps all read the target pixel."""

    def call(self, inputs):
        kernel = ops.sum(self.kernel, axis=(0, 1), keepdims=True)
        return ops.depthwise_conv(inputs, kernel, strides=self.strides, padding="valid")

    def compute_output_shape(self, input_shape):
        return (*_strided(input_shape, self.strides), input_shape[-1] * self.depth_multiplier)


def _strided(input_shape, strides):
    sizes = (
        None if size is None else -(-size // step)
        for size, step in zip(input_shape[1:3], strides, strict=True)
    )
    return (input_shape[0], *sizes)
