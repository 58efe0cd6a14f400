"""Models by name: `<family>_<backbone>`, and classifiers that are no such pair."""

import dataclasses
import fnmatch
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_ctxseg._options import REQUIRED, Option, checked_options, options_of
from keras_ctxseg.backbones import Backbone
from keras_ctxseg.models.deeplab import deeplabv3, deeplabv3plus, ksac
from keras_ctxseg.models.encnet import encnet
from keras_ctxseg.models.encnet_cifar import encnet_cifar
from keras_ctxseg.models.family import FAMILIES, model_names, register_family, split_name
from keras_ctxseg.models.fcn import fcn
from keras_ctxseg.models.rsp import rsp, rsp_panoptic
from keras_ctxseg.models.segmentation_model import (
    ClassificationModel,
    SegmentationModel,
    check_image_size,
)
from keras_ctxseg.models.spacemeshlab import spacemeshlab
from keras_ctxseg.models.spinenet_seg import SPINENETS, spinenet_seg
from keras_ctxseg.models.weights import load_weights


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network of its own, on no backbone, that puts one label on a whole image.

    Attributes:
        outputs: Function `(images, num_classes, *, **options)` to a dict with `logits`.
        input_shape: `(height, width, 3)`, unless the caller says otherwise.
    """

    outputs: Callable
    input_shape: tuple[int | None, int | None, int]


register_family("fcn", fcn, output_stride=8)
register_family("deeplabv3", deeplabv3)
register_family("deeplabv3plus", deeplabv3plus)
register_family("encnet", encnet, output_stride=8, backbone_options={"stem": "v1c"})
register_family("ksac", ksac)
register_family("rsp", rsp, output_stride=32)
register_family("rsp_panoptic", rsp_panoptic, output_stride=32)
register_family("spacemeshlab", spacemeshlab, output_stride=8)
register_family(
    "spinenet_seg",
    spinenet_seg,
    output_stride=8,
    backbones=SPINENETS,
    note="a topology of this project's own search; the paper's was never published",
)

CLASSIFIERS = {"encnet_cifar": Classifier(encnet_cifar, input_shape=(32, 32, 3))}


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names that `build` knows, sorted, filtered by a pattern such as `"ksac*"`."""
    return sorted(fnmatch.filter([*model_names(), *CLASSIFIERS], pattern))


def model_note(name: str) -> str:
    """Returns what should be known about a model before it is used, or `""`."""
    return "" if name in CLASSIFIERS else FAMILIES[split_name(name, CLASSIFIERS)[0]].note


def model_options(name: str) -> dict[str, Option]:
    """Returns the options that `build` takes for a model, by name, the family's before the
    backbone's.

    Raises:
        ValueError: If there is no such model.
    """
    if name in CLASSIFIERS:
        return options_of(CLASSIFIERS[name].outputs, ("images", "num_classes"))
    family_name, backbone_name = split_name(name, CLASSIFIERS)
    family = FAMILIES[family_name]
    return {**family.options, **family.backbone_kinds(backbone_name)}


def build(
    name: str,
    num_classes: int,
    input_shape: tuple[int | None, int | None, int] | None = None,
    output_stride: int | None = None,
    weights: str | os.PathLike | None = None,
    **options: Any,
) -> SegmentationModel | ClassificationModel:
    """Builds a segmentation model, or one of the classifiers.

    Args:
        name: `<family>_<backbone>`, or a classifier's; `list_models()` gives all of them.
        num_classes: Number of classes, at least 1; the ignore label is none of them.
        input_shape: `(height, width, channels)`; `None` stands for sizes known only at run time. At
            least 33. By default `(None, None, 3)`, or what the classifier was made for. Images of
            other channels than RGB are normalised as `normalization` says, by default by the mean
            over the colours of what the backbone has for RGB; published weights of the first
            convolution are carried over (`ctx.backbones.spread_over_channels`).
        output_stride: 8, 16 or 32: input pixels per pixel of the last feature map. By default the
            family's. Classifiers have none. For `spinenet_seg` also 4: which output the head reads,
            and other weights for each (see `spinenet_for_segmentation`).
        weights: `None` for random ones; path of a `.weights.h5` or `.keras` file of the same model
            (a classifier of another number of classes keeps its initial values); `"imagenet"` for
            the backbone's published ones; or another project's, `source:path` or
            `source:url#sha256=digits`, see `keras_ctxseg.convert`.
        **options: Options of the family (such as `rates=(6, 12, 18, 24)`) and of the backbone (such
            as `stem="deep"` or `width=0.5`), or of the classifier.

    Returns:
        A `SegmentationModel`: images `(batch, height, width, channels)`, RGB in 0...255, to a dict
        of outputs. A classifier is a `ClassificationModel`, with `logits` `(batch, num_classes)`.

    Raises:
        ValueError: If a name, option or value is not known or does not fit.

    Examples:
        >>> model = build("ksac_mobilenet_v2", num_classes=21, output_stride=16)
        >>> model.num_classes
        21
    """
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(
            f"`num_classes` must be an integer of at least 1. Received: num_classes={num_classes!r}"
        )
    backbone = None
    if name in CLASSIFIERS:
        if output_stride is not None:
            options["output_stride"] = output_stride
        model = _classifier(name, num_classes, input_shape, options)
    else:
        model, backbone = _segmentation_model(
            name, num_classes, input_shape, output_stride, options
        )
    if weights is not None:
        load_weights(model, weights, backbone)
    return model


def _classifier(name, num_classes, input_shape, options) -> ClassificationModel:
    classifier = CLASSIFIERS[name]
    options = checked_options(repr(name), options, model_options(name))
    images = _images(classifier.input_shape if input_shape is None else input_shape, channels=3)
    outputs = classifier.outputs(images, num_classes, **options)
    return ClassificationModel(images, outputs, name=name)


def _segmentation_model(
    name, num_classes, input_shape, output_stride, options
) -> tuple[SegmentationModel, Backbone]:
    family_name, backbone_name = split_name(name, CLASSIFIERS)
    family = FAMILIES[family_name]
    images = _images((None, None, 3) if input_shape is None else input_shape)
    check_image_size(images.shape, "input_shape")

    options = checked_options(repr(name), options, model_options(name))
    for option in model_options(name).values():
        if option.default is REQUIRED and option.name not in options:
            raise ValueError(f"{name!r} needs the option `{option.name}`")
    backbone_options = {**family.backbone_options, **options}
    backbone = family.backbones[backbone_name](
        output_stride=family.output_stride if output_stride is None else output_stride,
        **_of(family.backbone_kinds(backbone_name), backbone_options),
    )
    outputs = family.outputs(images, backbone, num_classes, **_of(family.options, options))
    _check_outputs(family_name, outputs, images, num_classes)
    return SegmentationModel(images, outputs, name=name), backbone


def _of(known: Mapping[str, Option], options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key in known}


def _check_outputs(family: str, outputs: Any, images: Any, num_classes: int) -> None:
    """Raises a `ValueError` unless a family keeps to its contract."""
    logits = outputs.get("logits") if isinstance(outputs, dict) else None
    found = None if logits is None else (tuple(logits.shape), logits.dtype)
    expected = ((*images.shape[:3], num_classes), "float32")
    if found is None or found[1] != expected[1] or not _agree(found[0], expected[0]):
        raise ValueError(
            f"The family {family!r} must return a dict with 'logits' of shape and dtype "
            f"{expected}. Received: {outputs if found is None else found}"
        )


def _agree(shape: tuple, other: tuple) -> bool:
    """Whether two shapes are equal where both are known."""
    pairs = zip(shape, other, strict=False)
    return len(shape) == len(other) and all(a == b or None in (a, b) for a, b in pairs)


def _images(input_shape, channels: int | None = None):
    """The symbolic images; `channels` is how many there must be, or `None` for any number."""
    found = input_shape[-1] if len(input_shape) == 3 else None
    if not isinstance(found, int) or found < 1 or channels not in (None, found):
        raise ValueError(
            f"`input_shape` must be (height, width, {channels or 'channels'}). "
            f"Received: input_shape={input_shape}"
        )
    return keras.Input(tuple(input_shape), name="images")
