"""SpineNet-Seg (arXiv 2103.12270): DeepLabv3 and v3+ on a scale-permuted, dilated backbone.

The paper's block table was never published. The presets are one that this project's own search has
found, not the paper's network; its parent's (SpineNet, arXiv 1912.05027) is `blocks="parent"`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import keras

from keras_ctxseg.backbones import Backbone, SpineNet
from keras_ctxseg.backbones.block_tables import SCALES
from keras_ctxseg.heads import classify, deeplabv3plus_decoder
from keras_ctxseg.layers import ASPP, ResizeLike
from keras_ctxseg.models.deeplab import default_rates

_FINEST_LEVEL = {4: 2, 8: 3, 16: 4, 32: 5}
_SEARCHED_MAX_LEVEL = 5


def spinenet_for_segmentation(
    scale: str,
    output_stride: int = 8,
    *,
    max_level: int | None = None,
    blocks: str | Sequence = "searched",
    width: float = 1.0,
    activation: str = "relu",
    normalization: str | Mapping = "imagenet",
) -> SpineNet:
    """Makes the backbone of `spinenet_seg_*`.

    Args:
        scale: `"s49s"`, `"s49"`, `"s96"`, `"s143"` or `"s190"`.
        output_stride: Reduction of the finest output, which the head reads: 4, 8, 16 or 32 for P2
            to P5. Resolution is part of a scale-permuted topology, so this is not what it is for
            other backbones: it chooses an output instead of dilating the last stages, and weights
            of one output stride do not load at another.
        max_level: Coarsest output, for a merge of levels. By default the finest alone; P5 with
            `"searched"`, which was found with that merge.
        blocks: The block table. `"searched"`, this project's own; `"parent"`, SpineNet's as it was
            published; `"hand_dilated"`, that with atrous rates set by hand (ours); or rows
            `[level, type, [parent, parent], is_output, dilation]`, as a search writes them.
        width: Multiplier of the filters of blocks and outputs (ours).
        activation: `"relu"` or `"swish"`.
        normalization: What the images are brought to: `"imagenet"`, `"centred"`, `"caffe"` or
            `{"mean": ..., "std": ...}`.

    Raises:
        ValueError: If an argument is none of these.
    """
    if output_stride not in _FINEST_LEVEL:
        raise ValueError(
            f"`output_stride` must be one of {tuple(_FINEST_LEVEL)} for SpineNet. "
            f"Received: output_stride={output_stride}"
        )
    level = _FINEST_LEVEL[output_stride]
    if max_level is None:
        max_level = max(level, _SEARCHED_MAX_LEVEL) if blocks == "searched" else level
    return SpineNet(scale, level, max_level, blocks, width, activation, normalization)


SPINENETS: dict[str, Callable[..., Backbone]] = {
    scale: functools.partial(spinenet_for_segmentation, scale) for scale in SCALES
}


def spinenet_seg(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 256,
    rates: tuple[int, ...] | None = None,
    image_pooling: bool = True,
    dropout: float = 0.1,
    merge: str = "sum",
    decoder: bool = False,
    separable_decoder: bool = False,
) -> dict:
    """Builds the outputs of `spinenet_seg_*`.

    The backbone's outputs, merged at the finest one's size; atrous spatial pyramid; then
    DeepLabv3's classifier, or DeepLabv3+'s decoder before it. The paper says that the backbone
    stands in the DeepLabv3 system; which outputs the head reads, and what the decoder takes its
    detail from, is ours.

    Args:
        filters: Of the pyramid and the decoder.
        rates: Atrous rates in feature pixels; by default (6, 12, 18) scaled to the output stride.
        image_pooling: Whether the pyramid has an image-pooling branch.
        dropout: Rate of the dropout after the pyramid.
        merge: How outputs of several levels (the backbone's `max_level`) meet, after bilinear
            resizing: `"sum"` or `"concat"` (ours).
        decoder: Whether DeepLabv3+'s decoder follows, on the stem's feature at stride 4 (ours).
        separable_decoder: Whether its 3×3 convolutions are depthwise separable.
    """
    if merge not in ("sum", "concat"):
        raise ValueError(f"`merge` must be 'sum' or 'concat'. Received: merge={merge!r}")
    rates = rates or default_rates(backbone.output_stride)
    nodes = backbone.nodes(images)
    x = _merge(backbone.endpoints(nodes), merge)
    x = ASPP(filters, rates, image_pooling=image_pooling, dropout=dropout, name="aspp")(x)
    if decoder:
        x = deeplabv3plus_decoder(x, nodes[1], filters, separable=separable_decoder)
    return {"logits": classify(x, num_classes, images)}


def _merge(features: dict, merge: str):
    finest = min(features)
    if len(features) == 1:
        return features[finest]
    resized = [
        x if level == finest else ResizeLike(name=f"merge_p{level}")(x, features[finest])
        for level, x in features.items()
    ]
    join = keras.layers.Add if merge == "sum" else keras.layers.Concatenate
    return join(name="merge")(resized)
