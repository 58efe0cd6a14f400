"""keras.applications: ResNet-50, 101 and 152 (of 2015), and MobileNetV2.

Its ResNets stride in the first 1×1 convolution and see images minus a mean, in BGR; the first
convolution's channels are turned round here, so that the model goes on taking RGB.
"""

import numpy as np

from keras_ctxseg.convert.tables import KERAS, Row, Source, Table


def _rgb(kernel: np.ndarray) -> np.ndarray:
    return kernel[:, :, ::-1]


_RESNET = (
    Row("backbone_stem_conv1", "conv1_conv", "conv1_bn", reorder=_rgb),
    Row(
        "backbone_stage{s}_block{b}_conv{n}",
        "conv{s}_block{b}_{n}_conv",
        "conv{s}_block{b}_{n}_bn",
    ),
    Row("backbone_stage{s}_block{b}_shortcut", "conv{s}_block{b}_0_conv", "conv{s}_block{b}_0_bn"),
)

# A block's number is the one in the whole network.
_BEFORE = {2: 0, 3: 2, 4: 5, 5: 12}

_MOBILENET_V2 = (
    Row("backbone_stem_conv", "Conv1", "bn_Conv1"),
    Row(
        "backbone_stage1_block1_depthwise",
        "expanded_conv_depthwise",
        "expanded_conv_depthwise_BN",
    ),
    Row("backbone_stage1_block1_project", "expanded_conv_project", "expanded_conv_project_BN"),
    *(
        Row(f"backbone_stage{level}_block{{b}}_{part}", block, f"{block}_BN")
        for level, before in _BEFORE.items()
        for part in ("expand", "depthwise", "project")
        for block in [f"block_{{b+{before}}}_{part}"]
    ),
)

KERAS_APPLICATIONS = Source(
    "keras-applications",
    KERAS,
    (
        Table("resnet", _RESNET, 1.001e-5, normalization="caffe", stride_in_1x1=True),
        Table("mobilenet_v2", _MOBILENET_V2, 1e-3, normalization="centred", padding="same"),
    ),
    unused=(
        (r"^(predictions|probs|fc1000|Logits)/", "classifier of ImageNet"),
        (r"^Conv_1(_bn)?/", "last 1×1 convolution, for classification only"),
    ),
    impostors=(("conv2_block1_preact_bn/", "a ResNetV2"),),
)
