"""DeepLab's TensorFlow 1 checkpoints (tensorflow/models, research/deeplab): slim's networks.

Backbones only: the heads there read other features (the decoder 256 channels inside the second
entry block), so they have no place in our models and are left.
"""

from keras_ctxseg.convert.tables import SLIM, Row, Source, Table


def _layer(ours: str, theirs: str) -> Row:
    return Row(ours, theirs, f"{theirs}/BatchNorm")


def _separable(ours: str, unit: str) -> tuple[Row, Row]:
    theirs = f"xception_65/{unit}/xception_module/separable_conv{{n}}"
    return (
        _layer(f"{ours}_depthwise", f"{theirs}_depthwise"),
        _layer(f"{ours}_pointwise", f"{theirs}_pointwise"),
    )


_XCEPTION = (
    _layer("backbone_stem_conv{n}", "xception_65/entry_flow/conv1_{n}"),
    *_separable("backbone_stage{s}_entry_conv{n}", "entry_flow/block{s-1}/unit_1"),
    _layer(
        "backbone_stage{s}_entry_shortcut",
        "xception_65/entry_flow/block{s-1}/unit_1/xception_module/shortcut",
    ),
    *_separable("backbone_stage4_middle{b}_conv{n}", "middle_flow/block1/unit_{b}"),
    *_separable("backbone_stage5_exit1_conv{n}", "exit_flow/block1/unit_1"),
    _layer(
        "backbone_stage5_exit1_shortcut",
        "xception_65/exit_flow/block1/unit_1/xception_module/shortcut",
    ),
    *_separable("backbone_stage5_exit2_conv{n}", "exit_flow/block2/unit_1"),
)

# A block's number is the one in the whole network.
_BEFORE = {2: 0, 3: 2, 4: 5, 5: 12}

_MOBILENET_V2 = (
    _layer("backbone_stem_conv", "MobilenetV2/Conv"),
    _layer("backbone_stage1_block1_depthwise", "MobilenetV2/expanded_conv/depthwise"),
    _layer("backbone_stage1_block1_project", "MobilenetV2/expanded_conv/project"),
    *(
        _layer(
            f"backbone_stage{level}_block{{b}}_{part}",
            f"MobilenetV2/expanded_conv_{{b+{before}}}/{part}",
        )
        for level, before in _BEFORE.items()
        for part in ("expand", "depthwise", "project")
    ),
)

DEEPLAB_TF1 = Source(
    "deeplab-tf1",
    SLIM,
    (
        Table("xception65", _XCEPTION, 1e-3, normalization="centred"),
        Table("mobilenet_v2", _MOBILENET_V2, 1e-3, normalization="centred", padding="same"),
    ),
    unused=(
        (r"^(xception_65|MobilenetV2)/[Ll]ogits/", "classifier of ImageNet"),
        (r"^MobilenetV2/Conv_1/", "last 1×1 convolution, for classification only"),
        (r"^(aspp\d|image_pooling|concat_projection|decoder|logits)", "head on other features"),
    ),
)
