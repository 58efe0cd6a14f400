"""The backbones by name."""

import functools
from collections.abc import Callable

from keras_ctxseg._naming import nearest
from keras_ctxseg.backbones.backbone import Backbone
from keras_ctxseg.backbones.mobilenet_v2 import MobileNetV2
from keras_ctxseg.backbones.resnet import ResNet
from keras_ctxseg.backbones.xception import Xception65

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "mobilenet_v2": MobileNetV2,
    **{f"resnet{depth}": functools.partial(ResNet, depth) for depth in (18, 34, 50, 101, 152)},
    "xception65": Xception65,
}


def create(name: str, **options) -> Backbone:
    """Makes a backbone by name.

    Args:
        name: `mobilenet_v2`, `resnet18`, `resnet34`, `resnet50`, `resnet101`, `resnet152` or
            `xception65`.
        **options: The backbone's own, such as `output_stride=16`.

    Raises:
        ValueError: If there is no such backbone.
    """
    if name not in BACKBONES:
        raise ValueError(
            f"`name` must be one of {sorted(BACKBONES)}. Received: name={name!r}."
            + nearest(name, BACKBONES)
        )
    return BACKBONES[name](**options)
