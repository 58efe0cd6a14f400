"""torchvision: ResNets, MobileNetV2, and DeepLabv3 on a ResNet.

The tables of a ResNet come first: other PyTorch projects use torchvision's names.
"""

from keras_ctxseg.convert.tables import TORCH, Row, Source, Table

# A feature's number is the block's in the whole network, counted from 1 after the stem.
BLOCKS = (
    Row(
        "backbone_stage{s}_block{b}_conv{n}",
        "layer{s-1}.{b-1}.conv{n}",
        "layer{s-1}.{b-1}.bn{n}",
    ),
    Row(
        "backbone_stage{s}_block{b}_shortcut",
        "layer{s-1}.{b-1}.downsample.0",
        "layer{s-1}.{b-1}.downsample.1",
    ),
)
STEM_7X7 = (Row("backbone_stem_conv1", "conv1", "bn1"),)
# Three 3×3 in a row, the last one's normalisation outside of it.
STEM_DEEP = (
    Row("backbone_stem_conv1", "conv1.0", "conv1.1"),
    Row("backbone_stem_conv2", "conv1.3", "conv1.4"),
    Row("backbone_stem_conv3", "conv1.6", "bn1"),
)
# OpenMMLab's: one sequence.
STEM_OPENMMLAB = (
    Row("backbone_stem_conv1", "stem.0", "stem.1"),
    Row("backbone_stem_conv2", "stem.3", "stem.4"),
    Row("backbone_stem_conv3", "stem.6", "stem.7"),
)
COUNTERS = (r"\.num_batches_tracked$", "counter of training steps")
IMAGENET_CLASSIFIER = (r"^fc\.", "classifier of ImageNet")
EPSILON = 1e-5


_BEFORE = {2: 1, 3: 3, 4: 6, 5: 13}

_MOBILENET_V2 = (
    Row("backbone_stem_conv", "features.0.0", "features.0.1"),
    Row("backbone_stage1_block1_depthwise", "features.1.conv.0.0", "features.1.conv.0.1"),
    Row("backbone_stage1_block1_project", "features.1.conv.1", "features.1.conv.2"),
    *(
        Row(f"backbone_stage{level}_block{{b}}_{ours}", f"{block}.{layer}", f"{block}.{norm}")
        for level, before in _BEFORE.items()
        for block in [f"features.{{b+{before}}}.conv"]
        for ours, layer, norm in (
            ("expand", "0.0", "0.1"),
            ("depthwise", "1.0", "1.1"),
            ("project", "2", "3"),
        )
    ),
)

_DEEPLABV3_HEAD = (
    Row("aspp/pointwise", "classifier.0.convs.0.0", "classifier.0.convs.0.1"),
    Row("aspp/atrous{n}", "classifier.0.convs.{n}.0", "classifier.0.convs.{n}.1"),
    Row("aspp/pooling/project", "classifier.0.convs.4.1", "classifier.0.convs.4.2"),
    Row("aspp/project", "classifier.0.project.0", "classifier.0.project.1"),
    Row("head_conv", "classifier.1", "classifier.2"),
    Row("logits_classifier", "classifier.4"),
)

TORCHVISION = Source(
    "torchvision",
    TORCH,
    (
        Table("resnet", (*STEM_7X7, *BLOCKS, *_DEEPLABV3_HEAD), EPSILON),
        Table(
            "mobilenet_v2",
            _MOBILENET_V2,
            EPSILON,
            unused=(
                (r"^features\.18\.", "last 1×1 convolution, for classification only"),
                (r"^classifier\.1\.", "classifier of ImageNet"),
            ),
        ),
    ),
    # torchvision's segmentation models hold the ResNet under this name.
    renames=((r"^backbone\.", ""),),
    unused=(
        COUNTERS,
        IMAGENET_CLASSIFIER,
        (r"^aux_classifier\.", "auxiliary head, for training only"),
    ),
)
