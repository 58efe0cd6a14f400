"""timm: ResNets with a 7×7 or a deep stem (`resnet50c`, `resnet50s`), and Xception-65."""

from keras_ctxseg.convert.sources.torchvision import (
    BLOCKS,
    COUNTERS,
    EPSILON,
    IMAGENET_CLASSIFIER,
    STEM_7X7,
    STEM_DEEP,
)
from keras_ctxseg.convert.tables import TORCH, Row, Source, Table


def _separable(ours: str, theirs: str) -> tuple[Row, Row]:
    return (
        Row(f"{ours}_depthwise", f"{theirs}.conv_dw", f"{theirs}.bn_dw"),
        Row(f"{ours}_pointwise", f"{theirs}.conv_pw", f"{theirs}.bn_pw"),
    )


_XCEPTION = (
    Row("backbone_stem_conv{n}", "stem.{n-1}.conv", "stem.{n-1}.bn"),
    *_separable("backbone_stage{s}_entry_conv{n}", "blocks.{s-2}.stack.conv{n}"),
    Row(
        "backbone_stage{s}_entry_shortcut",
        "blocks.{s-2}.shortcut.conv",
        "blocks.{s-2}.shortcut.bn",
    ),
    *_separable("backbone_stage4_middle{b}_conv{n}", "blocks.{b+2}.stack.conv{n}"),
    *_separable("backbone_stage5_exit1_conv{n}", "blocks.19.stack.conv{n}"),
    Row("backbone_stage5_exit1_shortcut", "blocks.19.shortcut.conv", "blocks.19.shortcut.bn"),
    *_separable("backbone_stage5_exit2_conv{n}", "blocks.20.stack.conv{n}"),
)

TIMM = Source(
    "timm",
    TORCH,
    (
        Table("resnet", (*STEM_7X7, *STEM_DEEP, *BLOCKS), EPSILON),
        # Its weights are TensorFlow's, with TensorFlow's epsilon.
        Table("xception65", _XCEPTION, 1e-3, normalization="centred"),
    ),
    unused=(COUNTERS, IMAGENET_CLASSIFIER, (r"^head\.fc\.", "classifier of ImageNet")),
)
