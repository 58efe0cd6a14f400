"""Keras model to a checked LiteRT (TFLite) file for devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.litert.convert import MOST_UINT8_CLASSES, converted
from keras_ctxseg.export.litert.forms import LitertForm, litert_form
from keras_ctxseg.export.litert.metadata import with_metadata
from keras_ctxseg.export.litert.operations import litert_operations
from keras_ctxseg.export.litert.quantize import Candidate, candidates
from keras_ctxseg.export.litert.ranges import with_ranges
from keras_ctxseg.export.litert.scores import with_scores
from keras_ctxseg.export.loading.resizing import resized_image
from keras_ctxseg.export.parity.check import check_parity, synthetic_images
from keras_ctxseg.export.parity.report import ParityReport
from keras_ctxseg.export.publishing.argument_checks import (
    checked_images,
    checked_size,
    logits_channels,
)
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

MINIMUM_CALIBRATION = 32


def export_litert(
    model: keras.Model,
    path: str | Path,
    input_size: tuple[int, int],
    *,
    form: str = "fp32",
    labels: bool = False,
    calibration_images: Sequence[np.ndarray] | None = None,
    check_images: Sequence[np.ndarray] | None = None,
    check_labels: Sequence[np.ndarray] | None = None,
    class_names: Sequence[str] | None = None,
    palette: np.ndarray | None = None,
    ignore_label: int = IGNORE_LABEL,
    force: bool = False,
    reading: ImageReading = PLAIN,
) -> ExportResult:
    """Writes a LiteRT file of static shape and builtin operations only, and a card beside it.

    Signature `serving_default`: input `images`, float32 (uint8 in the form `full_int8`)
    (1, height, width, 3), RGB in 0..255, at the scale the model was trained on; output `logits`,
    float32 (1, height, width, classes), or with `labels`, and always in `full_int8`, `labels`,
    uint8 (int32 beyond 256 classes) (1, height, width), and, up to 256 classes, `scores`
    (`with_scores`), which MediaPipe needs.

    The file is written to a temporary place, loaded with the LiteRT interpreter, compared with
    `model` (`check_parity`), and only then moved to `path`, replacing what was there. Of `int8` and
    `full_int8` several are tried, with more and more of the last steps in float32 (`candidates`),
    and the first that passes clearly (by a quarter of what may differ) is taken, else the nearest.

    Args:
        model: functional model with `"logits"`.
        path: the file to write, by convention `saved_models/<name>/<name>.tflite`; the card is
            `<stem>.card.md`.
        input_size: height and width, at least 33.
        form: `"fp32"`, `"fp16"`, `"dynamic"`, `"int8"` or `"full_int8"`; see `FORMS`.
        labels: put out class ids rather than logits.
        calibration_images: uint8 (height, width, 3), at least 32 real images, resized to
            `input_size`; the last two forms need them.
        check_images: uint8 (height, width, 3) images to compare on, resized to `input_size`; real
            ones if possible; by default two synthetic ones.
        check_labels: their label maps (height, width), for the mean IoU.
        class_names: for the file's metadata; by default the classes' numbers.
        palette: integers (classes, 3), RGB in 0..255, for the file's metadata.
        ignore_label: for the file's metadata; in `check_labels`, pixels that do not count.
        force: write it although the comparison fails; card and metadata say so.
        reading: how image files are read, for the file's metadata.

    Raises:
        ExportError: an operation is not builtin, the comparison failed, or `path` cannot be
            written.
        ValueError: an argument that does not fit the model or the form.
    """
    path = Path(path)
    size = checked_size(model, input_size)
    shape = (*size, image_channels(model))
    chosen = litert_form(form)
    calibration = _checked_calibration(chosen, model, calibration_images, size)
    if check_images is None:
        check_images = synthetic_images([size] * 2, model=model)
        if chosen.quantized and shape[-1] != 3:
            check_images = calibration[:2]
    images = checked_images(check_images, model)
    metadata = file_metadata(
        model, chosen.name, chosen.description, class_names, palette, ignore_label, reading
    )
    with staging_directory(path.parent) as staging:
        candidate = staging / path.name
        report, best = None, None
        for attempt in _attempts(model, size, chosen, labels, calibration):
            write_candidate(candidate, attempt.content, path)
            _refuse_foreign(candidate, path)
            found = check_parity(model, candidate, images, check_labels, ignore_label, chosen)
            if report is None or _nearer(found, report):
                report, best = found, attempt
            if _clearly_passes(found):
                break
        assert report is not None and best is not None
        if not report.passed and not force:
            raise ExportError(f"export refused: {chosen.name} {report}")
        report = dataclasses.replace(report, path=str(path))
        metadata = dataclasses.replace(with_comparison(metadata, report), in_float=best.in_float)
        write_candidate(candidate, with_metadata(best.content, metadata), path)
        output = "labels" if labels or chosen.name == "full_int8" else "logits"
        operations = litert_operations(candidate)
        scores = _scored(model, output == "labels")
        card = file_card(metadata, report, candidate, shape, output, operations, scores)
        publish_file(candidate, card, path, f"{path.stem}.card.md")
    return ExportResult(path, report)


def _attempts(
    model: keras.Model,
    size: tuple[int, int],
    form: LitertForm,
    labels: bool,
    calibration: list[np.ndarray],
) -> Iterator[Candidate]:
    whole = form.name == "full_int8"
    labels = labels or whole
    if form.quantized:
        content = with_ranges(converted(model, *size, "fp32", labels), calibration)
        attempts = candidates(content, uint8_images=whole)
    else:
        attempts = iter([Candidate(converted(model, *size, form.name, labels), ())])
    scored = _scored(model, labels)
    for attempt in attempts:
        yield replace(attempt, content=with_scores(attempt.content)) if scored else attempt


def _scored(model: keras.Model, labels: bool) -> bool:
    """Whether the file has `scores` too: MediaPipe knows no more classes than bytes do."""
    return labels and logits_channels(model) <= MOST_UINT8_CLASSES


def _clearly_passes(report: ParityReport) -> bool:
    margin = (1 - report.label_agreement_limit) / 4
    return report.passed and report.label_agreement >= report.label_agreement_limit + margin


def _nearer(one: ParityReport, other: ParityReport) -> bool:
    return (one.passed, one.label_agreement) > (other.passed, other.label_agreement)


def _checked_calibration(
    form: LitertForm, model: keras.Model, images, size: tuple[int, int]
) -> list[np.ndarray]:
    if not form.quantized:
        return []
    images = checked_images(images or [], model, "calibration_images")
    kinds = sorted({str(image.dtype) for image in images} - {"uint8"})
    if kinds:
        raise ValueError(
            f"calibration_images: expected uint8, as the form {form.name!r} has steps of one for"
            f" images in 0..255. Received {', '.join(kinds)}."
        )
    if len(images) < MINIMUM_CALIBRATION:
        raise ValueError(
            f"calibration_images: expected at least {MINIMUM_CALIBRATION} real images for the form"
            f" {form.name!r}. Received {len(images)}."
        )
    return [resized_image(image, size) for image in images]


def _refuse_foreign(candidate: Path, path: Path) -> None:
    foreign = [name for name in litert_operations(candidate) if name.startswith("custom:")]
    if foreign:
        raise ExportError(
            f"export refused: {path.name} needs operations that are not LiteRT builtins:"
            f" {', '.join(foreign)}."
        )
