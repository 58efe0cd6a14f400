"""Families of models, by name: what one states, and how it is registered."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from keras_ctxseg._naming import nearest
from keras_ctxseg._options import Option, options_of
from keras_ctxseg.backbones import BACKBONES

ARGUMENTS = ("images", "backbone", "num_classes")


@dataclasses.dataclass(frozen=True)
class Family:
    """One way of getting from a backbone's features to logits.

    Attributes:
        outputs: Function `(images, backbone, num_classes, *, **options)` to a dict of output
            tensors.
        output_stride: The backbone's, unless the caller says otherwise.
        backbone_options: What the family asks of its backbone, where the backbone has that option.
        backbones: The backbones that it works on, by name.
        note: What whoever lists the models should know about this family's, in a few words.
    """

    outputs: Callable[..., dict]
    output_stride: int
    backbone_options: Mapping[str, Any]
    backbones: Mapping[str, Callable]
    note: str = ""

    @property
    def options(self) -> dict[str, Option]:
        """The family's own options, by name."""
        return options_of(self.outputs, ARGUMENTS)

    def backbone_kinds(self, backbone: str) -> dict[str, Option]:
        """The options of one of its backbones, by name."""
        return options_of(self.backbones[backbone], ("output_stride",))


FAMILIES: dict[str, Family] = {}


def register_family(
    name: str,
    outputs: Callable[..., dict] | None = None,
    *,
    output_stride: int = 16,
    backbone_options: Mapping[str, Any] | None = None,
    backbones: Mapping[str, Callable] | None = None,
    note: str = "",
) -> Callable:
    """Adds a family of models, so that `build`, `list_models` and recipes know it.

    This package's own families are registered in the same way.

    Args:
        name: The family's; its models are `<name>_<backbone>`.
        outputs: Function `(images, backbone, num_classes, *, **options)` to a dict of output
            tensors. `images` is a Keras tensor `(batch, height, width, 3)`, `backbone(images)`
            returns `{level: feature map}`. The dict has `logits`, `(batch, height, width,
            num_classes)`, float32, at the images' size, and what else has a loss. The keyword-only
            parameters are the family's options: `build` and recipes check their names and types.
            Without `outputs`, `register_family(name, ...)` is a decorator.
        output_stride: The backbone's by default: 8, 16 or 32.
        backbone_options: Other defaults for options of the backbone, where it has them.
        backbones: Functions `(output_stride, *, **options)` to a `Backbone`, by name; by default
            every registered backbone, those registered later included.
        note: What `ctxseg list models` says beside the names.

    Returns:
        `outputs`, or the decorator.

    Raises:
        ValueError: If the name is malformed or taken, or the function has other parameters.

    Examples:
        >>> @register_family("pooled", output_stride=32)
        ... def pooled(images, backbone, num_classes, *, dropout: float = 0.1) -> dict:
        ...     x = keras.layers.Dropout(dropout)(backbone(images)[5])
        ...     return {"logits": ctx.heads.classify(x, num_classes, images)}
        >>> model = ctx.models.build("pooled_resnet18", num_classes=3, dropout=0.2)
    """
    if outputs is None:
        return lambda function: register_family(
            name,
            function,
            output_stride=output_stride,
            backbone_options=backbone_options,
            backbones=backbones,
            note=note,
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"`name` must be lower-case letters, digits and underscores. Received: name={name!r}"
        )
    family = Family(
        outputs,
        output_stride,
        dict(backbone_options or {}),
        BACKBONES if backbones is None else backbones,
        note,
    )
    family.options  # noqa: B018, checks the parameters
    _refuse_taken(name, family)
    FAMILIES[name] = family
    return outputs


def model_names() -> list[str]:
    """Every `<family>_<backbone>`."""
    return [
        f"{name}_{backbone}" for name, family in FAMILIES.items() for backbone in family.backbones
    ]


def split_name(name: str, others: Mapping[str, Any]) -> tuple[str, str]:
    """Splits `<family>_<backbone>`.

    Args:
        name: A model's.
        others: Names that are no such pair, for the message.

    Raises:
        ValueError: If there is no such family or backbone, with the nearest name.
    """
    for family_name in sorted(FAMILIES, key=len, reverse=True):
        backbone = str(name).removeprefix(f"{family_name}_")
        if backbone != name and backbone in FAMILIES[family_name].backbones:
            return family_name, backbone
    backbones = sorted({backbone for family in FAMILIES.values() for backbone in family.backbones})
    raise ValueError(
        f"There is no model {name!r}. A name is <family>_<backbone>, of the families "
        f"{sorted(FAMILIES)} and the backbones {backbones}, or one of {sorted(others)}. A family "
        "of your own must be registered first; a recipe names its module under `imports`."
        + nearest(name, [*model_names(), *others])
    )


def _refuse_taken(name: str, family: Family) -> None:
    """Raises where a name is somebody else's; a module that runs again replaces its own."""
    known = FAMILIES.get(name)
    if known is not None and _place(known.outputs) != _place(family.outputs):
        raise ValueError(
            f"`name`: there is a family {name!r} already, {'.'.join(_place(known.outputs))}"
        )
    if known is None:
        taken = {f"{name}_{backbone}" for backbone in family.backbones} & {*model_names()}
        if taken:
            raise ValueError(f"`name`: there is a model {min(taken)!r} already. Received: {name!r}")


def _place(function: Callable) -> tuple[str, str]:
    return function.__module__, function.__qualname__
