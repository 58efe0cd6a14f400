"""`weights=` of `build`: this package's own files; everything else is asked of whoever is above."""

import logging
import os
import warnings
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg._naming import nearest
from keras_ctxseg._registration import register_classes
from keras_ctxseg._untrusted import UNREADABLE, check_keras_file, first_line
from keras_ctxseg.backbones import Backbone
from keras_ctxseg.models import weights_elsewhere
from keras_ctxseg.models.segmentation_model import SegmentationModel

_LOG = logging.getLogger("keras_ctxseg")
_OWN = (".weights.h5", ".keras")


def load_weights(
    model: SegmentationModel, weights: str | os.PathLike, backbone: Backbone | None = None
) -> None:
    """Sets a model's weights, and logs what became of them.

    Args:
        model: Any model of `build`.
        weights: Path of a `.weights.h5` or `.keras` file of the same model (a classifier of another
            number of classes keeps its initial values); `"imagenet"`; or `source:path`, an URL
            with a checksum, or both: see `keras_ctxseg.convert`.
        backbone: What the model was built on; it may know its own published weights.

    Raises:
        ValueError: If there is no such file, or if it belongs to another model.
    """
    text = os.fspath(weights)
    if weights_elsewhere.is_elsewhere(text):
        if weights_elsewhere.load is None:
            raise ValueError(f"`weights`: {text!r} needs keras_ctxseg.convert, which is not there")
        _LOG.warning("%s: %s", model.name, weights_elsewhere.load(model, text, backbone))
        return
    summary = load_own_weights(model, Path(text))
    if summary:
        _LOG.warning("%s: %s", model.name, summary)


def load_own_weights(model: SegmentationModel, path: Path) -> str:
    """Loads a `.weights.h5` or `.keras` file of the same model.

    Returns:
        What kept its initial values because the number of classes differs, or `""`.

    Raises:
        ValueError: If there is no such file, or if it belongs to another model.
    """
    if not path.name.endswith(_OWN):
        raise ValueError(
            "`weights` must be None, 'imagenet', the path of a .weights.h5 or .keras file, or "
            f"source:path for another project's. Received: weights={str(path)!r}."
            + nearest(path, ["imagenet"])
        )
    if not path.is_file():
        raise ValueError(f"`weights` names a file that does not exist: {str(path)!r}")
    check_keras_file(path)
    if path.suffix == ".keras":
        return _load_model(model, path)
    try:
        model.load_weights(path)
    except UNREADABLE as error:
        kept = _load_but_classifiers(model, path) if isinstance(error, ValueError) else []
        if not kept:
            raise ValueError(
                f"The weights in {str(path)!r} do not fit {model.name!r} with {model.num_classes} "
                f"classes; model name and options must be the same. {error}"
            ) from error
        return _said(path, kept)
    return ""


def _load_model(model: SegmentationModel, path: Path) -> str:
    register_classes()
    try:
        source = keras.models.load_model(path, compile=False)
    except UNREADABLE as error:
        raise ValueError(f"cannot read {str(path)!r}: {first_line(error)}") from error
    theirs = {weight.path: weight for weight in source.weights}
    ours = {weight.path: weight for weight in model.weights}
    differing = [name for name in ours if name in theirs and ours[name].shape != theirs[name].shape]
    fits = ours.keys() == theirs.keys() and all(
        _classifies(name) and ours[name].shape[:-1] == theirs[name].shape[:-1] for name in differing
    )
    if not fits:
        raise ValueError(
            f"The checkpoint {str(path)!r} holds {source.name!r} with {len(theirs)} weights, "
            f"which do not fit {model.name!r} with {len(ours)}; model name and options must be "
            "the same."
        )
    for name, weight in ours.items():
        if name not in differing:
            weight.assign(theirs[name])
    return _said(path, differing) if differing else ""


def _load_but_classifiers(model: SegmentationModel, path: Path) -> list[str]:
    """Loads all but classifiers of other shapes; their names, or `[]` and nothing is changed.

    Keras says only in words what it skipped, so every weight is set to NaN before.
    """
    initial = model.get_weights()
    floats = [weight for weight in model.weights if "float" in weight.dtype]
    for weight in floats:
        weight.assign(np.full(weight.shape, np.nan))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(path, skip_mismatch=True)
        kept = [weight.path for weight in floats if np.isnan(weight).any()]
    except UNREADABLE:
        kept = []
    if not kept or not all(_classifies(name) for name in kept):
        model.set_weights(initial)
        return []
    for weight, value in zip(model.weights, initial, strict=True):
        if weight.path in kept:
            weight.assign(value)
    return kept


def _classifies(name: str) -> bool:
    """Whether a weight's last axis counts classes."""
    return name.split("/")[0].endswith(("_classifier", "presence_logits"))


def _said(path: Path, kept: list[str]) -> str:
    layers = ", ".join(dict.fromkeys(name.split("/")[0] for name in kept))
    return f"{path} has another number of classes: {layers} kept initial values"
