"""Keras model to a checked ONNX file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.litert.forms import FORMS
from keras_ctxseg.export.loading.onnx_file import require_onnx
from keras_ctxseg.export.onnx.convert import converted, with_metadata
from keras_ctxseg.export.parity.check import check_parity, synthetic_images
from keras_ctxseg.export.publishing.argument_checks import checked_images, checked_size
from keras_ctxseg.export.publishing.file_description import (
    file_card,
    file_metadata,
    with_comparison,
)
from keras_ctxseg.export.publishing.publish import (
    ExportResult,
    publish_file,
    staging_directory,
    write_candidate,
)
from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.models.segmentation_model import image_channels


def export_onnx(
    model: keras.Model,
    path: str | Path,
    input_size: tuple[int, int],
    *,
    labels: bool = False,
    check_images: Sequence[np.ndarray] | None = None,
    check_labels: Sequence[np.ndarray] | None = None,
    class_names: Sequence[str] | None = None,
    palette: np.ndarray | None = None,
    ignore_label: int = IGNORE_LABEL,
    force: bool = False,
    reading: ImageReading = PLAIN,
) -> ExportResult:
    """Writes an ONNX file (opset 18) of static shape in float32, and a card beside it.

    Input `images`, float32 (1, height, width, 3), RGB in 0..255, at the scale the model was trained
    on; output `logits`, float32 (1, height, width, classes), or with `labels` `labels`, uint8
    (int32 beyond 256 classes) (1, height, width). Weights are frozen, BatchNormalization is inside
    the convolutions.

    The file is written to a temporary place, run by ONNX Runtime, compared with `model`
    (`check_parity`), and only then moved to `path`, replacing what was there.

    Args:
        model: functional model with `"logits"`.
        path: the file to write, by convention `saved_models/<name>/<name>.onnx`; the card is
            `<path>.card.md`.
        input_size: height and width, at least 33.
        labels: put out class ids rather than logits.
        check_images: uint8 (height, width, 3) images to compare on, resized to `input_size`; real
            ones if possible; by default two synthetic ones.
        check_labels: their label maps (height, width), for the mean IoU.
        class_names: for the file's metadata; by default the classes' numbers.
        palette: integers (classes, 3), RGB in 0..255, for the file's metadata.
        ignore_label: for the file's metadata; in `check_labels`, pixels that do not count.
        force: write it although the comparison fails; card and metadata say so.
        reading: how image files are read, for the file's metadata.

    Raises:
        ExportError: the extra `onnx` is not installed, an operation is not ONNX's, the comparison
            failed, or `path` cannot be written.
        ValueError: an argument that does not fit the model.
    """
    require_onnx()
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"path: expected a name that ends in .onnx. Received {str(path)!r}.")
    size = checked_size(model, input_size)
    shape = (*size, image_channels(model))
    images = synthetic_images([size] * 2, model=model) if check_images is None else check_images
    images = checked_images(images, model)
    form = FORMS["fp32"]
    metadata = file_metadata(
        model, form.name, form.description, class_names, palette, ignore_label, reading
    )
    with staging_directory(path.parent) as staging:
        candidate = staging / path.name
        proto = converted(model, *size, labels)
        write_candidate(candidate, proto.SerializeToString(), path)
        report = check_parity(model, candidate, images, check_labels, ignore_label, form)
        if not report.passed and not force:
            raise ExportError(f"export refused: {report}")
        report = dataclasses.replace(report, path=str(path))
        metadata = with_comparison(metadata, report)
        write_candidate(candidate, with_metadata(proto, metadata), path)
        operations = sorted({node.op_type for node in proto.graph.node})
        output = "labels" if labels else "logits"
        card = file_card(metadata, report, candidate, shape, output, operations)
        publish_file(candidate, card, path, f"{path.name}.card.md")
    return ExportResult(path, report)
