"""The backbones by name. A name costs no import of Keras; its backbone is imported when made."""

import fnmatch
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_ctxseg._options import Option, options_of
from keras_ctxseg._registry import Registry

if TYPE_CHECKING:
    from keras_ctxseg.backbones.backbone import Backbone

# `APPLICATIONS` in keras_applications.py describes them; a test compares the names.
_APPLICATIONS = (
    *(f"convnext_{size}" for size in ("tiny", "small", "base", "large", "xlarge")),
    *(f"densenet{depth}" for depth in (121, 169, 201)),
    *(f"efficientnetv2_{size}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")),
    *(f"mobilenet_v3_{size}" for size in ("small", "large")),
    *(f"resnet{depth}_v2" for depth in (50, 101, 152)),
    "xception",
)

BACKBONES = Registry(
    "backbone",
    {
        "mobilenet_v2": "keras_ctxseg.backbones.mobilenet_v2:MobileNetV2",
        **{
            f"resnet{depth}": ("keras_ctxseg.backbones.resnet:resnet_of_depth", depth)
            for depth in (18, 34, 50, 101, 152)
        },
        "xception65": "keras_ctxseg.backbones.xception:Xception65",
        "keras_hub": "keras_ctxseg.backbones.keras_hub:PresetBackbone",
        **{
            f"resnet{depth}_vd": ("keras_ctxseg.backbones.keras_hub:resnet_vd_of_depth", depth)
            for depth in (18, 34, 50, 101, 152, 200)
        },
        **{
            name: ("keras_ctxseg.backbones.keras_applications:application_backbone", name)
            for name in _APPLICATIONS
        },
    },
)


def list_backbones(pattern: str = "*") -> list[str]:
    """Returns the names of the backbones, sorted, filtered by a pattern such as `"resnet*"`."""
    return sorted(fnmatch.filter(BACKBONES, pattern))


def register_backbone(
    name: str,
    backbone: "str | Callable[..., Backbone] | None" = None,
    *,
    replace: bool = False,
) -> Any:
    """Adds a backbone by name: `build`, `list_models` and recipes combine it with every family.

    Args:
        name: Lower-case letters, digits and underscores; models are `<family>_<name>`.
        backbone: What makes it: a `Backbone` subclass, or a function `(output_stride, *,
            **options)` to a `Backbone`, such as `functools.partial(from_keras, model, taps)`. Its
            keyword-only parameters become options of `build` and of recipes. A string
            `"package.module:attribute"` is imported on first use. Without `backbone`,
            `register_backbone(name)` is a decorator.
        replace: Whether another backbone of that name may be replaced.

    Returns:
        `backbone`, or the decorator.

    Raises:
        ValueError: If the name is taken or malformed, or `backbone` has other parameters.

    Examples:
        >>> register_backbone("my_cnn", "my_package.networks:MyBackbone")
        >>> "ksac_my_cnn" in list_models()
        True
    """
    if backbone is None:
        return lambda function: register_backbone(name, function, replace=replace)
    if callable(backbone):
        options_of(backbone, ("output_stride",))
    BACKBONES.register(name, backbone, replace)
    return backbone


def backbone_options(name: str) -> dict[str, Option]:
    """Returns the options of a backbone, by name.

    Raises:
        ValueError: If there is no such backbone.
    """
    return options_of(BACKBONES.find(name), ("output_stride",))


def create(name: str, **options: Any) -> "Backbone":
    """Makes a backbone by name.

    Args:
        name: One of `list_backbones()`.
        **options: The backbone's own, such as `output_stride=16`.

    Raises:
        ValueError: If there is no such backbone.
    """
    return BACKBONES.find(name)(**options)
