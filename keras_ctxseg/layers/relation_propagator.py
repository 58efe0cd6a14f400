"""Context handed down from a coarse map to a finer one (RSP head, arXiv 2106.01744)."""

import keras
from keras import ops

from keras_ctxseg.layers.conv_norm_act import ConvNormAct, SeparableConvNormAct
from keras_ctxseg.layers.relational_semantics import RelationalSemanticsExtractor


@keras.saving.register_keras_serializable("keras_ctxseg")
class RelationPropagator(keras.layers.Layer):
    """One step of the RSP head: the context of each fine pixel's region joins the fine map.

        context = RelationalSemanticsExtractor(LN(low), LN(coarse))
        out = Fuse(low + Norm(W·context)),   W 1×1 to the channels of `low`

    Stated by the paper: the relational context is passed down, and several such steps are stacked
    from the coarsest map to the finest. Ours: addition after a 1×1 conv-norm without activation;
    `Fuse`, a depthwise-separable 3×3 conv-norm-act to `filters`; and LN, each pixel's channels
    brought to mean 0 and variance 1. Logits grow with the square of the features' scale; without
    LN, that of an untrained backbone makes the softmax a maximum that rounding decides.

    Args:
        filters: Channels of the relation and of the output; a multiple of `heads`.
        window: Cells on each side of the region; see `RelationalSemanticsExtractor`.
        heads: Attention heads.
        scale: Pixels of the fine map per cell of the coarse one, on each axis.
        normalize: Whether LN stands before the relation.

    Call arguments:
        low: Fine map `(batch, height, width, any channels)`.
        coarse: Coarse map `(batch, ~height/scale, ~width/scale, any channels)`.

    Call returns:
        `(batch, height, width, filters)`.

    Examples:
        >>> fine, coarse = keras.Input((64, 64, 128)), keras.Input((32, 32, 128))
        >>> RelationPropagator(128)(fine, coarse).shape
        (None, 64, 64, 128)
    """

    def __init__(
        self,
        filters: int,
        window: int = 5,
        heads: int = 8,
        scale: int = 2,
        normalize: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.window = window
        self.heads = heads
        self.scale = scale
        self.normalize = normalize
        self.extract = RelationalSemanticsExtractor(
            filters, window, heads, scale, dtype=self.dtype_policy, name="extract"
        )
        self.fuse = SeparableConvNormAct(filters, dtype=self.dtype_policy, name="fuse")

    def build(self, low_shape, coarse_shape):
        self.extract.build(low_shape, coarse_shape)
        self.project = ConvNormAct(
            low_shape[-1], activation=None, dtype=self.dtype_policy, name="project"
        )
        self.project.build((*low_shape[:3], self.filters))
        self.fuse.build(low_shape)

    def call(self, low, coarse, training=None):
        maps = (low, coarse)
        if self.normalize:
            maps = (_normalize_channels(low), _normalize_channels(coarse))
        context = self.project(self.extract(*maps), training=training)
        return self.fuse(low + context, training=training)

    def compute_output_shape(self, low_shape, coarse_shape):
        return (*low_shape[:3], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "window": self.window,
            "heads": self.heads,
            "scale": self.scale,
            "normalize": self.normalize,
        }


def _normalize_channels(x, epsilon: float = 1e-3):
    """Layer normalisation without scale and offset, which the products after it contain."""
    dtype = x.dtype
    x = ops.cast(x, keras.backend.result_type(dtype, "float32"))
    x = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
    return ops.cast(x * ops.rsqrt(variance + epsilon), dtype)
