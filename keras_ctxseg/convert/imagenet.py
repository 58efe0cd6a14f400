"""What `weights="imagenet"` means for each network: the published weights of the same architecture.

Only files whose checksum is published are here; docs/weights.md lists others, and how to use them.
"""

import keras

from keras_ctxseg._naming import nearest
from keras_ctxseg.convert.layer_weights import Brick, bricks_of
from keras_ctxseg.convert.report import ConversionError
from keras_ctxseg.convert.tables import backbone_of

_TORCHVISION = "torchvision:https://download.pytorch.org/models/"
_GLUON = (
    "timm:https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/v0.1/gluon_"
)
_TIMM = "timm:https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
_OPENMMLAB = "mmsegmentation:https://download.openmmlab.com/pretrain/third_party/"
_KERAS = "keras-applications:https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
_NO_TOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

# Network, as `network_of` names it: source, URL, checksum.
IMAGENET = {
    "resnet18": f"{_TORCHVISION}resnet18-f37072fd.pth#sha256=f37072fd",
    "resnet34": f"{_TORCHVISION}resnet34-b627a593.pth#sha256=b627a593",
    "resnet50": f"{_TORCHVISION}resnet50-0676ba61.pth#sha256=0676ba61",
    "resnet101": f"{_TORCHVISION}resnet101-63fe2227.pth#sha256=63fe2227",
    "resnet152": f"{_TORCHVISION}resnet152-394f9c45.pth#sha256=394f9c45",
    "resnet18 v1c": f"{_OPENMMLAB}resnet18_v1c-b5776b93.pth#sha256=b5776b93",
    "resnet50 v1c": f"{_GLUON}resnet50_v1c-48092f55.pth#sha256=48092f55",
    "resnet101 v1c": f"{_GLUON}resnet101_v1c-1f26822a.pth#sha256=1f26822a",
    "resnet152 v1c": f"{_GLUON}resnet152_v1c-a3bb0b98.pth#sha256=a3bb0b98",
    "resnet50 deep": f"{_GLUON}resnet50_v1s-1762acc0.pth#sha256=1762acc0",
    "resnet101 deep": f"{_GLUON}resnet101_v1s-60fe0cc1.pth#sha256=60fe0cc1",
    "resnet152 deep": f"{_GLUON}resnet152_v1s-dcc41b81.pth#sha256=dcc41b81",
    "resnet50 1x1": f"{_KERAS}resnet50{_NO_TOP}#md5=4d473c1dd8becc155b73f8504c6f6626",
    "resnet101 1x1": f"{_KERAS}resnet101{_NO_TOP}#md5=88cf7a10940856eca736dc7b7e228a21",
    "resnet152 1x1": f"{_KERAS}resnet152{_NO_TOP}#md5=ee4c566cf9a93f14d82f913c2dc6dd0c",
    "mobilenet_v2": f"{_TORCHVISION}mobilenet_v2-b0353104.pth#sha256=b0353104",
    "xception65": f"{_TIMM}tf_xception_65-c9ae96e8.pth#sha256=c9ae96e8",
}
_DEPTHS: dict[tuple[bool, tuple[int, ...]], int] = {
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
    (True, (3, 4, 6, 3)): 50,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
}


def imagenet_location(model: keras.Model) -> str:
    """Returns where a model's backbone has published ImageNet weights.

    Raises:
        ConversionError: If none of its architecture are known.
    """
    network = network_of(model)
    if network not in IMAGENET:
        raise ConversionError(
            "`weights`: no ImageNet weights with a published checksum are known for "
            f"{model.name!r}, which stands on {network or 'no known backbone'}; there are some for "
            f"{', '.join(IMAGENET)}. docs/weights.md tells how to convert others."
            + nearest(network, IMAGENET)
        )
    return IMAGENET[network]


def network_of(model: keras.Model) -> str:
    """Names a model's backbone by what its weights are like: `resnet50 v1c`, `mobilenet_v2`, ..."""
    bricks = bricks_of(model)
    backbone = backbone_of(bricks)
    if backbone == "resnet":
        return _resnet(model, bricks)
    if backbone == "mobilenet_v2":
        filters = bricks["backbone_stage5_block4_project"].layer["kernel"].shape[-1]
        return backbone if filters == 320 else f"mobilenet_v2 with {filters} instead of 320 filters"
    return backbone


def _resnet(model: keras.Model, bricks: dict[str, Brick]) -> str:
    counts = tuple(
        sum(
            path.startswith(f"backbone_stage{stage}_") and path.endswith("_conv1")
            for path in bricks
        )
        for stage in (2, 3, 4, 5)
    )
    depth = _DEPTHS.get(("backbone_stage2_block1_conv3" in bricks, counts), 0)
    stem = bricks["backbone_stem_conv1"].layer["kernel"].shape
    parts = [f"resnet{depth}"]
    if stem[0] == 3:
        parts.append("v1c" if stem[-1] == 32 else "deep")
    if model.get_layer("backbone_stage3_block1_conv1").strides == 2 and depth >= 50:
        parts.append("1x1")
    return " ".join(parts)
