"""KSAC: atrous spatial pyramid pooling with one kernel for all rates (arXiv 1908.09443)."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_ctxseg.layers.aspp import ASPP
from keras_ctxseg.layers.batch_norm import BatchNorm
from keras_ctxseg.layers.shared_kernel import SharedKernelConv

_FUSIONS = ("concat", "sum_rates", "sum_all")


@keras.saving.register_keras_serializable("keras_ctxseg")
class SharedKernelASPP(ASPP):
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
        **kwargs,
    ):
        if fusion not in _FUSIONS:
            raise ValueError(f"`fusion` must be one of {_FUSIONS}. Received: fusion={fusion!r}")
        super().__init__(
            filters=filters, rates=rates, image_pooling=image_pooling, dropout=dropout, **kwargs
        )
        self.fusion = fusion
        self.form = self.shared.form = form

    def _make_rate_branches(self):
        self.shared = SharedKernelConv(
            self.filters, self.rates, dtype=self.dtype_policy, name="shared"
        )
        self.norms = [
            BatchNorm(
                momentum=self.pointwise.norm.momentum,
                epsilon=self.pointwise.norm.epsilon,
                dtype=self.dtype_policy,
                name=f"bn{index + 1}",
            )
            for index in range(len(self.rates))
        ]

    def _build_rate_branches(self, input_shape):
        self.shared.build(input_shape)
        for norm in self.norms:
            norm.build((*input_shape[:3], self.filters))

    def _rate_branches(self, inputs, training):
        maps = self.shared(inputs)
        return [
            ops.relu(norm(x, training=training)) for norm, x in zip(self.norms, maps, strict=True)
        ]

    def _fused_channels(self):
        return {
            "concat": super()._fused_channels(),
            "sum_rates": self.filters * (2 + self.image_pooling),
            "sum_all": self.filters,
        }[self.fusion]

    def _fuse(self, pointwise, by_rate, pooled):
        if self.fusion == "concat":
            return super()._fuse(pointwise, by_rate, pooled)
        summed = sum(by_rate[1:], by_rate[0])
        if self.fusion == "sum_rates":
            return super()._fuse(pointwise, [summed], pooled)
        return sum(pooled, pointwise + summed)

    def get_config(self):
        return {**super().get_config(), "fusion": self.fusion, "form": self.form}
