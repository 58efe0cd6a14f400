"""MetroCon²: meshgrid atrous convolution consensus (SpaceMeshLab, arXiv 2106.04025)."""

import itertools
import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_ctxseg.layers.batch_norm import BatchNorm
from keras_ctxseg.layers.conv_norm_act import ConvNormAct
from keras_ctxseg.layers.shared_kernel import shared_atrous_grid

_CONSENSUS = ("attention", "mean", "concat")


@keras.saving.register_keras_serializable("keras_ctxseg")
class AtrousConsensus(keras.layers.Layer):
    """Context by atrous rates on a grid, which every pixel weighs for itself.

    With `x` the input after 1×1 conv-norm-act, `b` a pair (r_h, r_w) of rates × rates, `p` a pixel:

        y_b = BN_b(conv3×3(x; dilation (r_h, r_w)))
        a_b[p] = softmax_b(q[p] · y_b[p] / √d),   q = W_q x + c
        output = relu(x + BN(W_o Σ_b a_b y_b))

    Equal rates on both axes read along the diagonals of a coarse net around the target pixel;
    unequal ones fill its mesh. Key and value of a branch are `y_b` itself: projections that all
    branches share fold into W_q and W_o, exactly.

    The paper states convolutions whose rates are scattered like a meshgrid, and self-attention as
    an index term. Everything else is ours: rates, widths, sharing, the equations above.

    Args:
        filters: Channels of `x` and of the output.
        rates: R atrous rates; the grid has R² branches. All 0 makes a control without context: as
            many parameters, and every tap reads the target pixel only.
        branch_filters: Channels d of each branch; by default a quarter of `filters`.
        share_kernel: Whether all branches share one kernel, with a BatchNormalization each; the
            nine products are then computed once (see `shared_atrous_grid`). Otherwise each has a
            kernel of its own.
        consensus: `"attention"`; or, in place of the sum Σ_b a_b y_b, `"mean"`: the branches' mean,
            `"concat"`: all R²·d channels side by side.
        form: How the shared convolutions are computed; see `shared_atrous_convolutions`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Call returns:
        `(batch, height, width, filters)`.

    Examples:
        >>> features = keras.Input((None, None, 2048))
        >>> AtrousConsensus(256, rates=(1, 6, 12, 18))(features).shape
        (None, None, None, 256)
    """

    def __init__(
        self,
        filters: int = 256,
        rates: Sequence[int] = (1, 6, 12, 18),
        branch_filters: int | None = None,
        share_kernel: bool = True,
        consensus: str = "attention",
        form: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        rates = tuple(rates)
        whole = all(isinstance(rate, int) for rate in rates)
        if not rates or not whole or (min(rates) < 1 and any(rates)):
            raise ValueError(
                "`rates` must be one or more integers of at least 1, or all 0. "
                f"Received: rates={rates}"
            )
        if consensus not in _CONSENSUS:
            raise ValueError(
                f"`consensus` must be one of {_CONSENSUS}. Received: consensus={consensus!r}"
            )
        if form != "auto" and not share_kernel:
            raise ValueError(
                "`form` is of the shared kernel; with `share_kernel=False` it must be 'auto'. "
                f"Received: form={form!r}"
            )
        self.filters = filters
        self.rates = rates
        self.branch_filters = max(1, filters // 4) if branch_filters is None else branch_filters
        self.share_kernel = share_kernel
        self.consensus = consensus
        self.form = form
        self.reduce = ConvNormAct(filters, dtype=self.dtype_policy, name="reduce")
        self.branches, self.norms = [], []
        for index, rate in enumerate(self.grid, start=1):
            if share_kernel:
                self.norms.append(BatchNorm(dtype=self.dtype_policy, name=f"bn{index}"))
                continue
            self.branches.append(
                ConvNormAct(
                    self.branch_filters,
                    3,
                    dilation=rate,
                    activation=None,
                    dtype=self.dtype_policy,
                    name=f"branch{index}",
                )
            )
        self.query = None
        if consensus == "attention":
            self.query = keras.layers.Conv2D(
                self.branch_filters, 1, dtype=self.dtype_policy, name="query"
            )
        self.project = ConvNormAct(
            filters, activation=None, dtype=self.dtype_policy, name="project"
        )

    @property
    def grid(self) -> list[tuple[int, int]]:
        """The branches' rates, (height, width)."""
        return list(itertools.product(self.rates, self.rates))

    def build(self, input_shape):
        self.reduce.build(input_shape)
        reduced = (*input_shape[:3], self.filters)
        branch = (*input_shape[:3], self.branch_filters)
        if self.share_kernel:
            self.kernel = self.add_weight(
                shape=(3, 3, self.filters, self.branch_filters),
                initializer="he_normal",
                name="kernel",
            )
        for layer in self.branches:
            layer.build(reduced)
        for layer in self.norms:
            layer.build(branch)
        if self.query is not None:
            self.query.build(reduced)
        width = self.branch_filters * (len(self.grid) if self.consensus == "concat" else 1)
        self.project.build((*input_shape[:3], width))

    def call(self, inputs, training=None):
        x = self.reduce(inputs, training=training)
        if self.share_kernel:
            maps = shared_atrous_grid(x, self.kernel, self.rates, self.form)
            maps = [norm(y, training=training) for norm, y in zip(self.norms, maps, strict=True)]
        else:
            maps = [branch(x, training=training) for branch in self.branches]
        context = self.project(self._agree(x, maps), training=training)
        return ops.relu(x + context)

    def _agree(self, x, maps):
        if self.consensus == "concat":
            return ops.concatenate(maps, axis=-1)
        if self.consensus == "mean":
            return sum(maps[1:], maps[0]) / len(maps)
        query = self.query(x) / math.sqrt(self.branch_filters)
        # In float32: half precision is too coarse for sums over channels and for a softmax.
        scores = [ops.sum(ops.cast(query * y, "float32"), axis=-1, keepdims=True) for y in maps]
        attention = ops.softmax(ops.concatenate(scores, axis=-1), axis=-1)
        weights = ops.split(ops.cast(attention, x.dtype), len(maps), axis=-1)
        weighted = [weight * y for weight, y in zip(weights, maps, strict=True)]
        return sum(weighted[1:], weighted[0])

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "rates": self.rates,
            "branch_filters": self.branch_filters,
            "share_kernel": self.share_kernel,
            "consensus": self.consensus,
            "form": self.form,
        }
