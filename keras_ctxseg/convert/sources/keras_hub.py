"""KerasHub: `ResNetBackbone` without pre-activation. Its layout is torchvision's."""

from keras_ctxseg.convert.tables import KERAS, Row, Source, Table

_RESNET = (
    Row("backbone_stem_conv{n}", "conv{n}_conv", "conv{n}_bn"),
    Row(
        "backbone_stage{s}_block{b}_conv{n}",
        "stack{s-2}_block{b-1}_{n}_conv",
        "stack{s-2}_block{b-1}_{n}_bn",
    ),
    Row(
        "backbone_stage{s}_block{b}_shortcut",
        "stack{s-2}_block{b-1}_0_conv",
        "stack{s-2}_block{b-1}_0_bn",
    ),
)

KERAS_HUB = Source(
    "keras-hub",
    KERAS,
    (Table("resnet", _RESNET, 1e-5),),
    unused=((r"^predictions/", "classifier of ImageNet"),),
    impostors=(
        ("average_pooling2d", "a ResNet-vd, whose shortcuts pool before they convolve"),
        ("_pre_activation_bn/", "a ResNetV2"),
    ),
)
