"""The LiteRT and ONNX files of a finished training run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_ctxseg.export.litert.export import export_litert
from keras_ctxseg.export.litert.forms import litert_form
from keras_ctxseg.export.onnx.export import export_onnx
from keras_ctxseg.export.publishing.publish import ExportResult
from keras_ctxseg.labels.panoptic import class_ids

if TYPE_CHECKING:
    from keras_ctxseg.data import SegmentationDataset
    from keras_ctxseg.runs.config import RunConfig


def export_litert_forms(
    model: keras.Model,
    config: RunConfig,
    dataset: SegmentationDataset,
    directory: Path,
    force: bool = False,
) -> Iterator[ExportResult]:
    """Writes a file for each of `export.litert_forms`, named by size and form.

    Calibrated on images of the training split, taken evenly over it; compared with the Keras model
    on the first of the validation split and their labels. `<name>_<height>x<width>.tflite` is
    float32; the others append their form.

    Args:
        model: in float32.
        config: the run's.
        dataset: the run's.
        directory: where to write.
        force: write files whose comparison fails, too.

    Yields:
        Each file once it is published.

    Raises:
        ValueError: see `export_litert`.
    """
    chosen = config.export
    height, width = _file_size(config)
    forms = [litert_form(name) for name in chosen.litert_forms]
    calibration = None
    if any(form.quantized for form in forms):
        examples = dataset.examples(config.data.train_split)
        count = int(examples.cardinality().numpy())
        step = max(count // chosen.calibration_images, 1)
        examples = examples.shard(step, 0).take(chosen.calibration_images)
        calibration = [example["image"] for example in examples.as_numpy_iterator()]
    compared = _compared(config, dataset)
    for form in forms:
        suffix = "" if form.name == "fp32" else f"_{form.name}"
        yield export_litert(
            model,
            directory / f"{config.name}_{height}x{width}{suffix}.tflite",
            (height, width),
            form=form.name,
            labels=chosen.litert_labels,
            calibration_images=calibration if form.quantized else None,
            force=force,
            **compared,
        )


def export_onnx_file(
    model: keras.Model,
    config: RunConfig,
    dataset: SegmentationDataset,
    directory: Path,
    force: bool = False,
) -> ExportResult:
    """Writes `<name>_<height>x<width>.onnx`; see `export_litert_forms` and `export_onnx`."""
    height, width = _file_size(config)
    return export_onnx(
        model,
        directory / f"{config.name}_{height}x{width}.onnx",
        (height, width),
        labels=config.export.litert_labels,
        force=force,
        **_compared(config, dataset),
    )


def _file_size(config: RunConfig) -> tuple[int, int]:
    return config.export.input_size or config.augmentation.crop_size


def _compared(config: RunConfig, dataset: SegmentationDataset) -> dict[str, Any]:
    """What files are compared with Keras on, the first validation images, and what labels mean."""
    validation = dataset.examples(config.data.validation_split).as_numpy_iterator()
    examples = list(islice(validation, config.export.litert_check_images))
    return {
        "check_images": [example["image"] for example in examples],
        "check_labels": [class_ids(example["label"]) for example in examples],
        "class_names": dataset.class_names,
        "palette": dataset.palette,
        "ignore_label": dataset.ignore_label,
        "reading": dataset.reading,
    }
