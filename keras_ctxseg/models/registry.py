"""Models by name: `<family>_<backbone>`, and classifiers that are no such pair."""

import dataclasses
import fnmatch
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_ctxseg._naming import nearest
from keras_ctxseg.backbones import BACKBONES
from keras_ctxseg.models.deeplab import deeplabv3, deeplabv3plus, ksac
from keras_ctxseg.models.encnet import encnet
from keras_ctxseg.models.encnet_cifar import encnet_cifar
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
class Family:
    """One way of getting from a backbone's features to logits.

    Attributes:
        outputs: Function `(images, backbone, num_classes, **options)` to a dict of output tensors.
        output_stride: The backbone's, unless the caller says otherwise.
        backbone_options: What the family asks of its backbone, where the backbone has that option.
        backbones: The backbones that it stands on, by name; all plain ones unless said otherwise.
        note: What whoever lists the models should know about this family's, in a few words.
    """

    outputs: Callable
    output_stride: int
    backbone_options: Mapping = dataclasses.field(default_factory=dict)
    backbones: Mapping[str, Callable] = dataclasses.field(default_factory=lambda: BACKBONES)
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network of its own, on no backbone, that puts one label on a whole image.

    Attributes:
        outputs: Function `(images, num_classes, **options)` to a dict with `logits`.
        input_shape: `(height, width, 3)`, unless the caller says otherwise.
    """

    outputs: Callable
    input_shape: tuple[int | None, int | None, int]


FAMILIES = {
    "fcn": Family(fcn, output_stride=8),
    "deeplabv3": Family(deeplabv3, output_stride=16),
    "deeplabv3plus": Family(deeplabv3plus, output_stride=16),
    "encnet": Family(encnet, output_stride=8, backbone_options={"stem": "v1c"}),
    "ksac": Family(ksac, output_stride=16),
    "rsp": Family(rsp, output_stride=32),
    "rsp_panoptic": Family(rsp_panoptic, output_stride=32),
    "spacemeshlab": Family(spacemeshlab, output_stride=8),
    "spinenet_seg": Family(
        spinenet_seg,
        output_stride=8,
        backbones=SPINENETS,
        note="a topology of this project's own search; the paper's was never published",
    ),
}

CLASSIFIERS = {"encnet_cifar": Classifier(encnet_cifar, input_shape=(32, 32, 3))}


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names that `build` knows, sorted, filtered by a pattern such as `"ksac*"`."""
    names = [
        f"{name}_{backbone}" for name, family in FAMILIES.items() for backbone in family.backbones
    ]
    return sorted(fnmatch.filter([*names, *CLASSIFIERS], pattern))


def model_note(name: str) -> str:
    """Returns what should be known about a model before it is used, or `""`."""
    return "" if name in CLASSIFIERS else FAMILIES[_split(name)[0]].note


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
        input_shape: `(height, width, 3)`; `None` stands for sizes known only at run time. At least
            33. By default `(None, None, 3)`, or what the classifier was made for.
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
        A `SegmentationModel`: images `(batch, height, width, 3)`, RGB in 0...255, to a dict of
        outputs. A classifier is a `ClassificationModel`, with `logits` `(batch, num_classes)`.

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
    if name in CLASSIFIERS:
        if output_stride is not None:
            options["output_stride"] = output_stride
        model = _classifier(name, num_classes, input_shape, options)
    else:
        model = _segmentation_model(name, num_classes, input_shape, output_stride, options)
    if weights is not None:
        load_weights(model, weights)
    return model


def _classifier(name, num_classes, input_shape, options) -> ClassificationModel:
    classifier = CLASSIFIERS[name]
    # What comes after (images, num_classes) is an option.
    _check_options(name, options, list(inspect.signature(classifier.outputs).parameters)[2:])
    images = _images(classifier.input_shape if input_shape is None else input_shape)
    outputs = classifier.outputs(images, num_classes, **options)
    return ClassificationModel(images, outputs, name=name)


def _segmentation_model(
    name, num_classes, input_shape, output_stride, options
) -> SegmentationModel:
    family_name, backbone_name = _split(name)
    family = FAMILIES[family_name]
    make_backbone = family.backbones[backbone_name]
    images = _images((None, None, 3) if input_shape is None else input_shape)
    check_image_size(images.shape, "input_shape")

    # Of the family's function, what comes after (images, backbone, num_classes) is an option.
    family_keys = list(inspect.signature(family.outputs).parameters)[3:]
    backbone_keys = [
        key
        for key in inspect.signature(make_backbone).parameters
        if key not in ("depth", "output_stride")
    ]
    _check_options(name, options, [*family_keys, *backbone_keys])
    backbone_options = {
        key: value
        for key, value in {**family.backbone_options, **options}.items()
        if key in backbone_keys
    }
    backbone = make_backbone(
        output_stride=family.output_stride if output_stride is None else output_stride,
        **backbone_options,
    )
    family_options = {key: value for key, value in options.items() if key in family_keys}
    outputs = family.outputs(images, backbone, num_classes, **family_options)
    return SegmentationModel(images, outputs, name=name)


def _images(input_shape):
    if len(input_shape) != 3 or input_shape[-1] != 3:
        raise ValueError(
            f"`input_shape` must be (height, width, 3). Received: input_shape={input_shape}"
        )
    return keras.Input(tuple(input_shape), name="images")


def _check_options(name: str, options, known: list[str]) -> None:
    for key in options:
        if key not in known:
            raise ValueError(
                f"{name!r} has no option {key!r}; its options are {sorted(known)}."
                + nearest(key, known)
            )


def _split(name: str) -> tuple[str, str]:
    """Splits `<family>_<backbone>`."""
    for family_name, family in FAMILIES.items():
        backbone = str(name).removeprefix(f"{family_name}_")
        if backbone != name and backbone in family.backbones:
            return family_name, backbone
    backbones = sorted({backbone for family in FAMILIES.values() for backbone in family.backbones})
    raise ValueError(
        f"There is no model {name!r}. A name is <family>_<backbone>, of the families "
        f"{sorted(FAMILIES)} and the backbones {backbones}, or one of "
        f"{sorted(CLASSIFIERS)}." + nearest(name, list_models())
    )
