"""mmsegmentation: whole EncNet, FCN, DeepLabv3 and DeepLabv3+ on ResNetV1c (stem `"v1c"`).

How they are built here, for its published configurations (`r50-d8`, `r101-d8`), all with
`stem="v1c", output_stride=8`:

    encnet_resnet50            the defaults
    fcn_resnet50               convs=2, concat_input=True
    deeplabv3_resnet50         filters=512, rates=(12, 24, 36), projection_size=3
    deeplabv3plus_resnet50     filters=512, rates=(12, 24, 36), projection_size=3,
                               separable_pyramid=True, separable_decoder=True

Auxiliary heads are mapped for EncNet, whose model here has one. OpenMMLab's ImageNet checkpoints
(`resnet50_v1c-2cccc1ad.pth`) are the backbone alone.
"""

import numpy as np

from keras_ctxseg.convert.sources.torchvision import (
    BLOCKS,
    COUNTERS,
    EPSILON,
    IMAGENET_CLASSIFIER,
    STEM_7X7,
    STEM_OPENMMLAB,
)
from keras_ctxseg.convert.tables import TORCH, Row, Source, Table


def _pooling_last(kernel: np.ndarray) -> np.ndarray:
    """Its pyramid puts image pooling first, ours last; all five branches are equally wide."""
    return np.roll(kernel, -(kernel.shape[2] // 5), axis=2)


def _module(ours: str, theirs: str, reorder=None) -> Row:
    """mmcv's ConvModule."""
    return Row(ours, f"{theirs}.conv", f"{theirs}.bn", reorder)


def _separable(ours: str, theirs: str) -> tuple[Row, Row]:
    """mmcv's DepthwiseSeparableConvModule."""
    return (
        _module(f"{ours}/depthwise", f"{theirs}.depthwise_conv"),
        _module(f"{ours}/pointwise", f"{theirs}.pointwise_conv"),
    )


_ENCNET = (
    _module("head_conv", "decode_head.bottleneck"),
    _module("lateral{n}", "decode_head.lateral_convs.{n-3}"),
    _module("lateral_fusion", "decode_head.fusion"),
    _module("context_encoding/semantics/project", "decode_head.enc_module.encoding_project"),
    Row("context_encoding/semantics/encoding", "decode_head.enc_module.encoding.0"),
    Row("context_encoding/semantics", norm="decode_head.enc_module.encoding.1"),
    Row("context_encoding/gate", "decode_head.enc_module.fc.0"),
    Row("presence_logits", "decode_head.se_layer"),
    _module("aux_conv", "auxiliary_head.convs.0"),
    Row("aux_logits_classifier", "auxiliary_head.conv_seg"),
)
_FCN = (
    _module("head_conv", "decode_head.convs.0"),
    _module("head_conv{n}", "decode_head.convs.{n-1}"),
    _module("head_fusion", "decode_head.conv_cat"),
)
_DEEPLAB = (
    _module("aspp/pooling/project", "decode_head.image_pool.1"),
    _module("aspp/pointwise", "decode_head.aspp_modules.0"),
    _module("aspp/atrous{n}", "decode_head.aspp_modules.{n}"),
    *_separable("aspp/atrous{n}", "decode_head.aspp_modules.{n}"),
    _module("aspp/project", "decode_head.bottleneck", reorder=_pooling_last),
    _module("decoder_low_level", "decode_head.c1_bottleneck"),
    *_separable("decoder_conv{n}", "decode_head.sep_bottleneck.{n-1}"),
)

MMSEGMENTATION = Source(
    "mmsegmentation",
    TORCH,
    (
        Table(
            "resnet",
            (
                *STEM_OPENMMLAB,
                *STEM_7X7,
                *BLOCKS,
                *_ENCNET,
                *_FCN,
                *_DEEPLAB,
                Row("logits_classifier", "decode_head.conv_seg"),
            ),
            EPSILON,
        ),
    ),
    renames=((r"^backbone\.", ""),),
    unused=(
        COUNTERS,
        IMAGENET_CLASSIFIER,
        (r"^auxiliary_head\.", "auxiliary head, for training only"),
    ),
)
