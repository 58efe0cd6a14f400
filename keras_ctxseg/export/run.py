"""From a finished training run to what is served."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from keras_ctxseg.export.file_run import export_litert_forms, export_onnx_file
from keras_ctxseg.export.loading.onnx_file import require_onnx
from keras_ctxseg.export.publishing.publish import ExportResult
from keras_ctxseg.export.saved_model.export import export_saved_model
from keras_ctxseg.export.saved_model.server_files import write_server_files

if TYPE_CHECKING:
    from keras_ctxseg.runs.config import RunConfig


def export_run(
    config: RunConfig,
    checkpoint: str | Path | None = None,
    *,
    version: int | None = None,
    force: bool = False,
) -> Iterator[ExportResult]:
    """Exports a run's checkpoint as its `export` section says, checked on validation images.

    Writes `<export.directory>/<name>/<version>/` and, for TensorFlow Serving, `models.config` and
    `monitoring.config` into `<export.directory>`; with `export.litert` and `export.onnx`, beside
    the version, `<name>_<height>x<width>.tflite` and `.onnx` (see `export_litert_forms`). A run of
    mixed precision is exported in float32, which its weights are kept in, unless
    `export.precision` says otherwise.

    Args:
        config: the run's.
        checkpoint: a `.keras` file; by default the run's best one.
        version: see `export_saved_model`.
        force: write LiteRT and ONNX files whose comparison fails, too.

    Yields:
        Each export once it is published.

    Raises:
        ValueError: see `export_saved_model`, `export_litert` and `export_onnx`; or the checkpoint
            is missing or has other classes than the data set.
    """
    from keras_ctxseg.runs.assembly import load_dataset
    from keras_ctxseg.runs.checkpoint import load_checkpoint
    from keras_ctxseg.runs.run_directory import RunDirectory

    if config.export.onnx:
        require_onnx()  # Before anything is written.
    dataset = load_dataset(config)
    checkpoint = RunDirectory(config.directory).best if checkpoint is None else Path(checkpoint)
    model = load_checkpoint(checkpoint, dataset.num_classes)
    if config.training.precision != "float32":
        model = _in_float32(model, config, dataset.num_classes, dataset.channels)
    images = [
        example["image"]
        for example in dataset.examples(config.data.validation_split)
        .take(config.export.check_images)
        .as_numpy_iterator()
    ]
    directory = Path(config.export.directory) / config.name
    yield export_saved_model(
        model,
        directory,
        dataset.class_names,
        dataset.palette,
        dataset.ignore_label,
        config.data.image_scale,
        version=version,
        check_images=images,
        thing_classes=dataset.thing_classes,
        grouping=config.panoptic,
        precision=config.export.precision,
        warm_up=config.export.warm_up,
        facts=_facts(config, checkpoint),
        reading=dataset.reading,
    )
    write_server_files(config.export.directory)
    if config.export.litert:
        yield from export_litert_forms(model, config, dataset, directory, force)
    if config.export.onnx:
        yield export_onnx_file(model, config, dataset, directory, force)


def _facts(config: RunConfig, checkpoint: Path) -> dict[str, str]:
    """What the run knows about its model, for the card."""
    from keras_ctxseg.runs.run_directory import RunDirectory

    split = config.data.validation_split
    facts = {"Data set": f"`{config.data.name}`, compared on `{split}`"}
    run = RunDirectory(checkpoint.absolute().parent.parent)
    if not run.config.is_file():
        return facts | {"Checkpoint": f"`{checkpoint.name}`"}
    facts["Checkpoint"] = f"`{checkpoint.name}` of the run `{run.path.name}`"
    changes = [] if checkpoint.absolute() == run.chosen else [checkpoint.stem]
    scores = run.evaluation(split, changes) / "scores.json"
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        mean_iou = json.loads(scores.read_text(encoding="utf-8"))["mean_iou"]
        facts["Mean IoU"] = f"{100 * mean_iou:.2f} % on `{split}`, by `ctxseg evaluate`"
    exported = run.path if checkpoint.absolute() == run.chosen else checkpoint.absolute()
    with contextlib.suppress(ValueError):
        exported = exported.relative_to(Path.cwd())
    renamed = "" if config.name == run.path.name else f" --name {config.name}"
    return facts | {"Command": f"`ctxseg export {exported}{renamed}`"}


def _in_float32(
    model: keras.Model, config: RunConfig, num_classes: int, channels: int
) -> keras.Model:
    from keras_ctxseg.runs.assembly import build_model

    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, weights=None),
        training=dataclasses.replace(config.training, precision="float32"),
    )
    twin = build_model(config, num_classes, channels)
    twin.set_weights(model.get_weights())
    return twin
