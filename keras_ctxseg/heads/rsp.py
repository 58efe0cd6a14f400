"""The RSP head: an efficient pyramid and relations stacked from coarse to fine (2106.01744)."""

import itertools
from collections.abc import Mapping

import keras

from keras_ctxseg.layers import ConvNormAct, RelationPropagator, ResizeLike, SeparableConvNormAct


def efficient_pyramid(features: Mapping, filters: int) -> dict:
    """Gives every level the same channels and what the coarser levels know.

    1×1 conv-norm laterals to `filters`, each added to the level above it resized to its size, then
    one depthwise-separable 3×3 conv-norm-act a level. The paper states an efficient pyramid; this
    form of it is ours.

    Args:
        features: `{level: map}`; a higher level is a coarser (or as fine) map.
        filters: Channels of every level of the pyramid.

    Returns:
        `{level: (batch, height, width, filters)}`, at each level's own size, coarse to fine.
    """
    pyramid: dict = {}
    above = None
    for level in sorted(features, reverse=True):
        x = ConvNormAct(filters, activation=None, name=f"pyramid_lateral{level}")(features[level])
        if above is not None:
            resized = ResizeLike(name=f"pyramid_upsample{level}")(above, x)
            x = keras.layers.Add(name=f"pyramid_add{level}")([x, resized])
        above = x
        pyramid[level] = SeparableConvNormAct(filters, name=f"pyramid_smooth{level}")(x)
    return pyramid


def rsp_head(
    pyramid: Mapping, reductions: Mapping[int, int], filters: int, window: int = 5, heads: int = 8
):
    """Hands context down the pyramid: `X_top = P_top`, then `X_l = RelationPropagator(P_l, X_l+1)`.

    Args:
        pyramid: `{level: map}`.
        reductions: `{level: input pixels per feature pixel}`.
        filters: Channels of the relations and of the output.
        window: Cells on each side of a pixel's region.
        heads: Attention heads.

    Returns:
        Features `(batch, height, width, filters)` at the size of the finest level.
    """
    levels = sorted(pyramid, reverse=True)
    x = pyramid[levels[0]]
    for coarser, level in itertools.pairwise(levels):
        # Levels that dilate instead of subsampling are of one size.
        scale = reductions[coarser] // reductions[level]
        x = RelationPropagator(filters, window, heads, scale, name=f"rsp{level}")(pyramid[level], x)
    return x
