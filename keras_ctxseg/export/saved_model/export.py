"""Keras model to a checked SavedModel for TensorFlow Serving."""

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.loading.metadata import LABELS_FILE
from keras_ctxseg.export.parity.check import check_parity, synthetic_images
from keras_ctxseg.export.parity.report import require_parity
from keras_ctxseg.export.publishing.argument_checks import checked_images
from keras_ctxseg.export.publishing.publish import (
    ExportResult,
    check_version_is_free,
    next_version,
    publish,
    staging_directory,
)
from keras_ctxseg.export.saved_model.decoding import reads_files
from keras_ctxseg.export.saved_model.model_card import MODEL_CARD, labels_file, model_card
from keras_ctxseg.export.saved_model.panoptic_serving import panoptic_signature
from keras_ctxseg.export.saved_model.serving import ServingModule
from keras_ctxseg.export.saved_model.warm_up import has_serving_protos, write_warm_up_requests
from keras_ctxseg.inference.panoptic import check_panoptic_model
from keras_ctxseg.labels.panoptic import IGNORE_LABEL, INSTANCE_OUTPUTS
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE, image_channels
from keras_ctxseg.panoptic.options import GroupingOptions

LOW_PRECISION_AGREEMENT = 0.99


def export_saved_model(
    model: keras.Model,
    directory: str | Path,
    class_names: Sequence[str],
    palette: np.ndarray | None = None,
    ignore_label: int = IGNORE_LABEL,
    image_scale: float = 1.0,
    *,
    version: int | None = None,
    check_images: Sequence[np.ndarray] | None = None,
    thing_classes: Sequence[int] = (),
    grouping: GroupingOptions | None = None,
    precision: str = "float32",
    warm_up: int = 4,
    facts: Mapping[str, str] | None = None,
    reading: ImageReading = PLAIN,
) -> ExportResult:
    """Writes `directory/version/`, a SavedModel with the signatures of `ServingModule`.

    It is written to `directory/.tmp-...`, loaded by a fresh process without this package, compared
    with `model` (`check_parity`), and only then renamed into place. Class names, palette, ignore
    label and image scale go to `assets.extra/labels.json`, which TensorFlow Serving leaves alone.

    Args:
        model: functional model with `"logits"`, built for any height and width.
        directory: the served model's directory, by convention `saved_models/<name>`.
        class_names: one a class, in the order of the logits.
        palette: integers (classes, 3), RGB in 0..255.
        ignore_label: fills `labels` beyond an image's own size.
        image_scale: `data.image_scale` of the run; see `ServingModule`.
        version: a free version number; by default the next one.
        check_images: uint8 (height, width, 3) images to compare on, real ones if possible;
            by default three synthetic ones.
        thing_classes: ids of the classes whose objects a panoptic model tells apart; with them the
            export has the signature `panoptic`, see `panoptic_signature`.
        grouping: how centres and offsets become segments.
        precision: `"float32"`, or `"mixed_bfloat16"`; see `in_bfloat16`. The latter is held to the
            labels alone, which have to agree on 99 % of the pixels.
        warm_up: requests that a server runs before it serves this version, made of
            `check_images`; none where TensorFlow Serving's protos are not installed.
        facts: what the model card is to say of data, scores and origin, by name.
        reading: how image files are read; served JPEG and PNG files are read in the same way.

    Raises:
        ExportError: the comparison failed, the version exists, or the place cannot be written to.
        ValueError: an argument that does not fit the model.
    """
    directory = Path(directory)
    beside = labels_file(model, class_names, palette, ignore_label, image_scale, reading)
    _check_takes_any_size(model)
    if check_images is None:
        side = int(np.ceil(MINIMUM_SIZE / image_scale))
        sizes = [(side + 32, side + 64), (side + 95, side + 40), (side, side)]
        check_images = synthetic_images(sizes, model=model)
    check_images = checked_images(check_images, model)
    panoptic: dict = {}
    if thing_classes:
        check_panoptic_model(model, thing_classes)
        panoptic["outputs"] = INSTANCE_OUTPUTS
        panoptic["extra"] = panoptic_signature(thing_classes, grouping)
    if version is not None:
        check_version_is_free(directory, version)
    with staging_directory(directory) as staging:
        module = ServingModule(
            model,
            ignore_label,
            image_scale,
            class_names,
            precision=precision,
            reading=reading,
            **panoptic,
        )
        with _writing(directory):
            with captured_noise():
                save_module(module, staging)
            path = staging / LABELS_FILE
            path.parent.mkdir()
            content = dataclasses.asdict(beside)
            if not content["images"]:  # as by default
                del content["images"]
            path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        report = check_parity(model, staging, check_images)
        if precision != "float32":
            report = dataclasses.replace(
                report, max_softmax_limit=math.inf, label_agreement_limit=LOW_PRECISION_AGREEMENT
            )
        require_parity(report)
        card = model_card(
            model.name,
            class_names,
            report,
            channels=image_channels(model),
            takes_files=reads_files(reading),
            version=str(version or next_version(directory)),
            bytes_stored=sum(path.stat().st_size for path in staging.rglob("*") if path.is_file()),
            parameters=model.count_params(),
            precision=precision,
            image_scale=image_scale,
            ignore_label=ignore_label,
            facts=facts,
        )
        with _writing(directory):
            (staging / MODEL_CARD).write_text(card, encoding="utf-8")
            if warm_up and has_serving_protos():
                write_warm_up_requests(
                    staging, directory.name, check_images, [1] * warm_up, reads_files(reading)
                )
        path = publish(staging, directory, version)
    return ExportResult(path, dataclasses.replace(report, path=str(path)))


def save_module(module: ServingModule, directory: Path) -> None:
    """Writes the signatures of a module, and the variables that they read, as a SavedModel."""
    # Not the module itself: its methods would be traced and stored once more.
    root = tf.Module(module.name)
    root.weights = module.forward.weights
    tf.saved_model.save(root, str(directory), signatures=module.signatures())


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Turns what the operating system or TensorFlow says into an ExportError about a directory."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(f"cannot write a SavedModel to {directory}: {error}") from error


def _check_takes_any_size(model: keras.Model) -> None:
    height, width = model.inputs[0].shape[1:3]
    if height is not None or width is not None:
        raise ExportError(
            f"model: expected one built with input_shape=(None, None, {image_channels(model)}), as"
            f" each served image keeps its own size. Received one built for {height}x{width}."
        )
