"""Convolution, batch normalisation, activation: the brick of every network here."""

import math

import keras
from keras import ops

from keras_ctxseg.layers.atrous_conv import AtrousConv2D
from keras_ctxseg.layers.batch_norm import BatchNorm
from keras_ctxseg.layers.collapsed import convolution_at
from keras_ctxseg.layers.upsampled_conv import (
    applies,
    beside_upsampled,
    conv_norm_beside_upsampled,
)


class _ConvNormAct(keras.layers.Layer):
    """Shared part: symmetric padding, BatchNormalization, activation.

    Strided convolutions pad (k - 1) / 2 on every side instead of TensorFlow's "same", which is
    lopsided for even sizes. Only then does output i of a strided convolution sit on output 2i of
    the unstrided one, so that the same weights agree at every output stride (and with PyTorch's).
    `padding="same"` is TensorFlow's, for weights that were trained with it.
    """

    def __init__(
        self,
        kernel_size: int = 1,
        strides: int = 1,
        dilation: int | tuple[int, int] = 1,
        padding: str = "symmetric",
        activation: str | None = "relu",
        momentum: float = 0.9,
        epsilon: float = 1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd. Received: kernel_size={kernel_size}")
        if padding not in ("symmetric", "same"):
            raise ValueError(
                f"`padding` must be 'symmetric' or 'same'. Received: padding={padding!r}"
            )
        self.kernel_size = kernel_size
        self.strides = strides
        self.dilation = (dilation, dilation) if isinstance(dilation, int) else tuple(dilation)
        self.padding = padding
        self.activation = keras.activations.get(activation)
        # Slower averages (Keras' 0.99) lag behind in the short runs that segmentation is trained
        # with.
        self.norm = BatchNorm(
            momentum=momentum, epsilon=epsilon, dtype=self.dtype_policy, name="bn"
        )
        self.conv: keras.layers.Layer  # made by the subclass

    @property
    def _conv_arguments(self) -> dict:
        return {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": "valid" if self._pads_itself else "same",
            "use_bias": False,
            "dtype": self.dtype_policy,
            "name": "conv",
        }

    @property
    def _pads_itself(self) -> bool:
        return self.strides > 1 and self.padding == "symmetric"

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build((*input_shape[:3], self._output_channels(input_shape)))

    def call(self, inputs, training=None):
        x = inputs
        pad_h, pad_w = (rate * (self.kernel_size - 1) // 2 for rate in self.dilation)
        if self._pads_itself and (pad_h or pad_w):
            x = ops.pad(x, ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
        return self.activation(self.norm(self.conv(x), training=training))

    def compute_output_shape(self, input_shape):
        height, width = (
            None if size is None else math.ceil(size / self.strides) for size in input_shape[1:3]
        )
        return (input_shape[0], height, width, self._output_channels(input_shape))

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation": self.dilation,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "momentum": self.norm.momentum,
            "epsilon": self.norm.epsilon,
        }


@keras.saving.register_keras_serializable("keras_ctxseg")
class ConvNormAct(_ConvNormAct):
    """Convolution without bias, BatchNormalization, activation.

    Args:
        filters: Output channels.
        kernel_size: Odd; the same on both axes.
        strides: Step on both axes. Output size is `ceil(size / strides)`.
        dilation: Atrous rate, one number or (height, width). Rate 0 makes every tap read the target
            pixel: as many parameters, no receptive field (see `collapsed.py`).
        padding: Of strided convolutions: `"symmetric"`, (kernel_size − 1) / 2 on every side, or
            `"same"`, TensorFlow's, which is lopsided for even sizes.
        activation: Keras activation name, or `None`.
        momentum: Of the BatchNormalization's moving averages.
        epsilon: Of the BatchNormalization.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        coarse: A map of fewer pixels, `(batch, h, w, others)`, or `None`. With it
            `concatenate([resize_bilinear(coarse), inputs])` is convolved, with less arithmetic
            (see `upsampled_conv.py`).

    Call returns:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.
    """

    def __init__(self, filters: int, kernel_size: int = 1, **kwargs):
        super().__init__(kernel_size, **kwargs)
        self.filters = filters
        self.conv = convolution_at(
            AtrousConv2D,
            self.dilation,
            filters=filters,
            kernel_initializer="he_normal",
            **self._conv_arguments,
        )

    # `coarse` is an argument rather than a layer of its own: weights files address layers by class.

    def build(self, inputs_shape, coarse_shape=None):
        channels = inputs_shape[-1] + (coarse_shape[-1] if coarse_shape is not None else 0)
        super().build((*inputs_shape[:3], channels))

    def call(self, inputs, coarse=None, training=None):
        if coarse is None:
            return super().call(inputs, training=training)
        if applies(self.conv, inputs, coarse):
            return self.activation(
                conv_norm_beside_upsampled(self.conv, self.norm, inputs, coarse, training)
            )
        return super().call(beside_upsampled(inputs, coarse), training=training)

    def compute_output_shape(self, inputs_shape, coarse_shape=None):
        return super().compute_output_shape(inputs_shape)

    def _output_channels(self, input_shape):
        return self.filters

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("keras_ctxseg")
class DepthwiseConvNormAct(_ConvNormAct):
    """Depthwise convolution without bias, BatchNormalization, activation.

    Arguments and shapes as for `ConvNormAct`, with as many output channels as input channels.
    """

    def __init__(self, kernel_size: int = 3, **kwargs):
        super().__init__(kernel_size, **kwargs)
        # Keras counts a depthwise kernel's fan-in over all channels, which would start it far too
        # small; each output sees kernel_size² inputs.
        self.conv = convolution_at(
            keras.layers.DepthwiseConv2D,
            self.dilation,
            depthwise_initializer=keras.initializers.RandomNormal(
                stddev=math.sqrt(2.0) / kernel_size
            ),
            **self._conv_arguments,
        )

    def _output_channels(self, input_shape):
        return input_shape[-1]


@keras.saving.register_keras_serializable("keras_ctxseg")
class SeparableConvNormAct(keras.layers.Layer):
    """Depthwise 3×3 conv-norm-act, then 1×1 conv-norm-act (DeepLabv3+, arXiv 1802.02611, section
    3.1).

    Args:
        filters: Output channels.
        kernel_size: Of the depthwise convolution.
        dilation: Atrous rate of the depthwise convolution.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
    """

    def __init__(self, filters: int, kernel_size: int = 3, dilation: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.depthwise = DepthwiseConvNormAct(
            kernel_size, dilation=dilation, dtype=self.dtype_policy, name="depthwise"
        )
        self.pointwise = ConvNormAct(filters, dtype=self.dtype_policy, name="pointwise")

    def build(self, input_shape):
        self.depthwise.build(input_shape)
        self.pointwise.build(input_shape)

    def call(self, inputs, training=None):
        return self.pointwise(self.depthwise(inputs, training=training), training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation": self.dilation,
        }
