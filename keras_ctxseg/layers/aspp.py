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
        self.filters = filters
        self.rates = checked_rates(rates)
        self.image_pooling = image_pooling
        self.dropout = dropout
        self.projection_size = projection_size
        self.separable = separable
        policy = {"dtype": self.dtype_policy}
        self.pointwise = ConvNormAct(filters, name="pointwise", **policy)
        self.pooling = pooling_branch(filters, self.rates, **policy) if image_pooling else None
        branch = SeparableConvNormAct if separable else ConvNormAct
        self.atrous = [
            branch(filters, 3, dilation=rate, name=f"atrous{index}", **policy)
            for index, rate in enumerate(self.rates, start=1)
        ]
        self.project = ConvNormAct(filters, projection_size, name="project", **policy)
        self.drop = keras.layers.Dropout(dropout, name="dropout", **policy)

    @property
    def _branches(self) -> list[keras.layers.Layer]:
        pooling = [] if self.pooling is None else [self.pooling]
        return [self.pointwise, *self.atrous, *pooling]

    def build(self, input_shape):
        for branch in self._branches:
            branch.build(input_shape)
        self.project.build((*input_shape[:3], self.filters * len(self._branches)))

    def call(self, inputs, training=None):
        maps = [branch(inputs, training=training) for branch in self._branches]
        fused = self.project(ops.concatenate(maps, axis=-1), training=training)
        return self.drop(fused, training=training)

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


def checked_rates(rates: Sequence[int]) -> tuple[int, ...]:
    """The atrous rates of a pyramid; ValueError unless they are integers of at least 0."""
    rates = tuple(rates)
    if not rates or any(not isinstance(rate, int) or rate < 0 for rate in rates):
        raise ValueError(
            f"`rates` must be one or more integers of at least 0. Received: rates={rates}"
        )
    return rates


def pooling_branch(filters: int, rates: Sequence[int], dtype) -> keras.layers.Layer:
    """The image-pooling branch of a pyramid; with rates of 0 it reads the target pixel only."""
    layer = ImagePooling if any(rates) else ConvNormAct
    return layer(filters, dtype=dtype, name="pooling")
