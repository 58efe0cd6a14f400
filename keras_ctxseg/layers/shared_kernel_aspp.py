"""KSAC: atrous spatial pyramid pooling with one kernel for all rates (arXiv 1908.09443)."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_ctxseg.layers.aspp import checked_rates, pooling_branch
from keras_ctxseg.layers.batch_norm import BatchNorm
from keras_ctxseg.layers.conv_norm_act import ConvNormAct
from keras_ctxseg.layers.shared_kernel import SharedKernelConv

_FUSIONS = ("concat", "sum_rates", "sum_all")


@keras.saving.register_keras_serializable("keras_ctxseg")
class SharedKernelASPP(keras.layers.Layer):
    """ASPP whose 3×3 branches share one kernel; each rate keeps its own BatchNormalization.

    Objects of different sizes teach the same kernel, and a further rate costs no further kernel
    (section 3): without BatchNormalization and projection `channels · filters · 11` parameters for
    any number of rates.

    Args:
        filters: Channels of each branch and of the output.
        rates: Atrous rates; (6, 12, 18) for output stride 16, (6, 12, 18, 24) is the paper's wider
            set.
        fusion: `"concat"` (the paper's figure: all branches side by side), `"sum_rates"` (its
            algorithm: the rate branches are added, then concatenated with the others) or
            `"sum_all"` (ours: everything is added).
        form: How the shared convolution is computed; see `shared_atrous_convolutions` (ours).
        image_pooling: Whether there is an image-pooling branch.
        dropout: Rate of the dropout on the output.
        projection_size: Kernel size of the last conv-norm-act: 1, or 3 as mmsegmentation has it.

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Call returns:
        `(batch, height, width, filters)`.
    """

    def __init__(
        self,
        filters: int = 256,
        rates: Sequence[int] = (6, 12, 18),
        fusion: str = "concat",
        form: str = "auto",
        image_pooling: bool = True,
        dropout: float = 0.0,
        projection_size: int = 1,
        **kwargs,
    ):
        if fusion not in _FUSIONS:
            raise ValueError(f"`fusion` must be one of {_FUSIONS}. Received: fusion={fusion!r}")
        super().__init__(**kwargs)
        self.filters = filters
        self.rates = checked_rates(rates)
        self.fusion = fusion
        self.form = form
        self.image_pooling = image_pooling
        self.dropout = dropout
        self.projection_size = projection_size
        policy = {"dtype": self.dtype_policy}
        self.pointwise = ConvNormAct(filters, name="pointwise", **policy)
        self.pooling = pooling_branch(filters, self.rates, **policy) if image_pooling else None
        self.shared = SharedKernelConv(filters, self.rates, form, name="shared", **policy)
        self.norms = [
            BatchNorm(name=f"bn{index}", **policy) for index in range(1, len(self.rates) + 1)
        ]
        self.project = ConvNormAct(filters, projection_size, name="project", **policy)
        self.drop = keras.layers.Dropout(dropout, name="dropout", **policy)

    def build(self, input_shape):
        branch_shape = (*input_shape[:3], self.filters)
        self.pointwise.build(input_shape)
        self.shared.build(input_shape)
        for norm in self.norms:
            norm.build(branch_shape)
        if self.pooling is not None:
            self.pooling.build(input_shape)
        maps = {
            "concat": 1 + len(self.rates) + self.image_pooling,
            "sum_rates": 2 + self.image_pooling,
            "sum_all": 1,
        }[self.fusion]
        self.project.build((*input_shape[:3], self.filters * maps))

    def call(self, inputs, training=None):
        pointwise = self.pointwise(inputs, training=training)
        by_rate = [
            ops.relu(norm(x, training=training))
            for norm, x in zip(self.norms, self.shared(inputs), strict=True)
        ]
        pooled = [] if self.pooling is None else [self.pooling(inputs, training=training)]
        fused = self.project(self._fuse(pointwise, by_rate, pooled), training=training)
        return self.drop(fused, training=training)

    def _fuse(self, pointwise, by_rate, pooled):
        if self.fusion != "concat":
            by_rate = [sum(by_rate[1:], by_rate[0])]
        if self.fusion == "sum_all":
            return sum(pooled, pointwise + by_rate[0])
        return ops.concatenate([pointwise, *by_rate, *pooled], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], self.filters)

    @classmethod
    def from_config(cls, config):
        # Files of earlier versions list it, always without effect.
        return cls(**{key: value for key, value in config.items() if key != "separable"})

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "rates": self.rates,
            "fusion": self.fusion,
            "form": self.form,
            "image_pooling": self.image_pooling,
            "dropout": self.dropout,
            "projection_size": self.projection_size,
        }
