"""Atrous spatial pyramid pooling (DeepLabv3, arXiv 1706.05587, section 3.3)."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_ctxseg.layers.conv_norm_act import ConvNormAct, SeparableConvNormAct
from keras_ctxseg.layers.image_pooling import ImagePooling


@keras.saving.register_keras_serializable("keras_ctxseg")
class ASPP(keras.layers.Layer):
    """Context at several scales: parallel atrous convolutions of their own kernels.

    A 1×1 branch, one 3×3 branch a rate and an image-pooling branch, each conv-norm-act to
    `filters`; concatenated; 1×1 conv-norm-act to `filters`; dropout. Without BatchNormalization and
    projection it has `channels · filters · (2 + 9·rates)` parameters.

    Args:
        filters: Channels of each branch and of the output.
        rates: Atrous rates of the 3×3 branches; (6, 12, 18) is the paper's set for output stride
            16. All 0 makes a control without context (ours): as many parameters, and every tap and
            the pooling branch read the target pixel only.
        image_pooling: Whether there is an image-pooling branch.
        dropout: Rate of the dropout on the output.
        projection_size: Kernel size of the last conv-norm-act: 1, or 3 as mmsegmentation has it.
        separable: Whether the branches at a rate are depthwise separable (DeepLabv3+, 1802.02611,
            section 3.1).

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Call returns:
        `(batch, height, width, filters)`.
    """

    def __init__(
        self,
        filters: int = 256,
        rates: Sequence[int] = (6, 12, 18),
        image_pooling: bool = True,
        dropout: float = 0.0,
        projection_size: int = 1,
        separable: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        rates = tuple(rates)
        if not rates or any(not isinstance(rate, int) or rate < 0 for rate in rates):
            raise ValueError(
                f"`rates` must be one or more integers of at least 0. Received: rates={rates}"
            )
        self.filters = filters
        self.rates = rates
        self.image_pooling = image_pooling
        self.dropout = dropout
        self.projection_size = projection_size
        self.separable = separable
        self.pointwise = ConvNormAct(filters, dtype=self.dtype_policy, name="pointwise")
        self.pooling = None
        if image_pooling:
            pooling = ImagePooling if any(rates) else ConvNormAct
            self.pooling = pooling(filters, dtype=self.dtype_policy, name="pooling")
        self._make_rate_branches()
        self.project = ConvNormAct(
            filters, projection_size, dtype=self.dtype_policy, name="project"
        )
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def _make_rate_branches(self):
        branch = SeparableConvNormAct if self.separable else ConvNormAct
        self.atrous = [
            branch(
                self.filters, 3, dilation=rate, dtype=self.dtype_policy, name=f"atrous{index + 1}"
            )
            for index, rate in enumerate(self.rates)
        ]

    def _build_rate_branches(self, input_shape):
        for branch in self.atrous:
            branch.build(input_shape)

    def _rate_branches(self, inputs, training):
        return [branch(inputs, training=training) for branch in self.atrous]

    def _fused_channels(self):
        return self.filters * (1 + len(self.rates) + self.image_pooling)

    def _fuse(self, pointwise, by_rate, pooled):
        return ops.concatenate([pointwise, *by_rate, *pooled], axis=-1)

    def build(self, input_shape):
        self.pointwise.build(input_shape)
        self._build_rate_branches(input_shape)
        if self.pooling is not None:
            self.pooling.build(input_shape)
        self.project.build((*input_shape[:3], self._fused_channels()))

    def call(self, inputs, training=None):
        pointwise = self.pointwise(inputs, training=training)
        by_rate = self._rate_branches(inputs, training)
        pooled = [self.pooling(inputs, training=training)] if self.pooling is not None else []
        fused = self._fuse(pointwise, by_rate, pooled)
        return self.drop(self.project(fused, training=training), training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "rates": self.rates,
            "image_pooling": self.image_pooling,
            "dropout": self.dropout,
            "projection_size": self.projection_size,
            "separable": self.separable,
        }
