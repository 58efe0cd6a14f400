"""The whole image's mean, seen by every pixel."""

import keras
from keras import ops

from keras_ctxseg.layers.conv_norm_act import ConvNormAct


@keras.saving.register_keras_serializable("keras_ctxseg")
class ImagePooling(keras.layers.Layer):
    """Global mean, 1×1 conv-norm-act, broadcast back (DeepLabv3, arXiv 1706.05587, section 3.3).

    Args:
        filters: Output channels.

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Call returns:
        `(batch, height, width, filters)`, constant over height and width.
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.project = ConvNormAct(filters, dtype=self.dtype_policy, name="project")

    def build(self, input_shape):
        self.project.build((input_shape[0], 1, 1, input_shape[-1]))

    def call(self, inputs, training=None):
        # In float32: a mean over thousands of pixels is beyond half precision.
        mean = ops.mean(ops.cast(inputs, "float32"), axis=(1, 2), keepdims=True)
        pooled = self.project(ops.cast(mean, inputs.dtype), training=training)
        batch, height, width = tuple(ops.shape(inputs))[:3]
        return ops.broadcast_to(pooled, (batch, height, width, self.filters))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
