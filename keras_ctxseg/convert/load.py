"""`weights=` of `build`, where it names something else than a file of this package."""

from pathlib import Path

import keras

from keras_ctxseg.backbones import ApplicationBackbone, Backbone
from keras_ctxseg.convert.imagenet import imagenet_location
from keras_ctxseg.convert.location import fetch, parse_location
from keras_ctxseg.convert.mapping import map_weights
from keras_ctxseg.convert.read import read_checkpoint
from keras_ctxseg.convert.report import Report
from keras_ctxseg.convert.sources import SOURCES
from keras_ctxseg.convert.sources.keras_applications import KERAS_APPLICATIONS


def convert(
    model: keras.Model,
    path: str | Path,
    source: str,
    epsilon: float | None = None,
    backbone_only: bool = False,
) -> Report:
    """Sets a model's weights from another project's checkpoint.

    Args:
        model: A model of `keras_ctxseg.models.build`.
        path: The checkpoint; see `read_checkpoint`.
        source: Whose it is: a key of `SOURCES`.
        epsilon: Of its normalisations, if it is not the source's usual one.
        backbone_only: Whether a head in the checkpoint is left.

    Returns:
        What was mapped, left and missing.

    Raises:
        ConversionError: If it cannot be read or does not fit; the model is as it was.

    Examples:
        >>> model = build("deeplabv3_resnet50", 21)  # doctest: +SKIP
        >>> print(convert(model, "resnet50-0676ba61.pth", "torchvision").summary())
    """
    arrays = read_checkpoint(path)
    return map_weights(model, arrays, SOURCES[source], str(path), epsilon, backbone_only)


def load_elsewhere(model: keras.Model, weights: str, backbone: Backbone | None = None) -> str:
    """Sets a model's weights from `"imagenet"`, an URL with a checksum or `source:place`.

    A head that the checkpoint has is taken if the model's is the same, and left otherwise only for
    `"imagenet"`, which is about backbones.

    Args:
        model: A model of `keras_ctxseg.models.build`.
        weights: See `parse_location`.
        backbone: What the model was built on; it may know its own published weights.

    Returns:
        What became of it, in a few lines.

    Raises:
        ConversionError: If it cannot be found, fetched, read or mapped; the model is as it was.
    """
    from keras_ctxseg.models.weights import load_own_weights

    if weights == "imagenet" and backbone is not None:
        said = backbone.load_imagenet(model)
        if said is not None:
            return said
    text = imagenet_location(model) if weights == "imagenet" else weights
    location = parse_location(text, SOURCES)
    path = fetch(location) if location.is_url else Path(location.place)
    if not location.source:
        return load_own_weights(model, path)
    if location.source == KERAS_APPLICATIONS.name and isinstance(backbone, ApplicationBackbone):
        return backbone.load_file(model, path)
    report = convert(model, path, location.source, backbone_only=weights == "imagenet")
    return report.summary()
