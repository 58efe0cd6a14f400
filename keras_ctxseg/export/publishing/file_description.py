"""Describes a LiteRT or ONNX file: the metadata inside it, and the Markdown card beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.export.loading.metadata import FileMetadata
from keras_ctxseg.export.parity.report import ParityReport, parity_table
from keras_ctxseg.export.publishing.argument_checks import (
    checked_names,
    checked_palette,
    logits_channels,
)


def file_metadata(
    model: keras.Model,
    form: str,
    description: str,
    class_names: Sequence[str] | None,
    palette: np.ndarray | None,
    ignore_label: int,
    reading: ImageReading = PLAIN,
) -> FileMetadata:
    """The metadata of a model's file; ValueError for what does not fit the model."""
    channels = logits_channels(model)
    names = [str(k) for k in range(channels)] if class_names is None else class_names
    return FileMetadata(
        model=model.name,
        form=form,
        description=f"Semantic segmentation, {channels} classes; {description}.",
        class_names=checked_names(names, channels),
        palette=checked_palette(palette, channels),
        ignore_label=int(ignore_label),
        images=reading.as_dict(),
    )


def with_comparison(metadata: FileMetadata, report: ParityReport) -> FileMetadata:
    """The metadata with a comparison's figures; JSON cannot encode infinite limits: left out."""
    figures = {
        key: value
        for key, value in dataclasses.asdict(report).items()
        if key != "path" and value != float("inf")
    }
    return dataclasses.replace(metadata, forced=not report.passed, parity=figures)


def file_card(
    metadata: FileMetadata,
    report: ParityReport,
    path: Path,
    shape: tuple[int, int, int],
    output: str,
    operations: Sequence[str],
    scores: bool = False,
) -> str:
    """The card of a file.

    Args:
        metadata: what is in it.
        report: its comparison with the Keras model.
        path: where it lies now.
        shape: height, width and channels of its input.
        output: `"logits"` or `"labels"`.
        operations: that it is made of.
        scores: whether it puts out `scores` beside `"labels"`.
    """
    images = "uint8" if metadata.form == "full_int8" else "float32"
    height, width, channels = shape
    scale = "RGB in 0..255" if channels == 3 else "on the scale of the training images"
    classes = len(metadata.class_names)
    maps = f"float32 (1, {height}, {width}, {classes})."
    if output == "labels":
        maps = f"class ids (1, {height}, {width})."
        if scores:
            maps += f" Output `scores`: uint8 (1, {height}, {width}, {classes})."
    lines = [f"# {path.name}", ""]
    if metadata.forced:
        lines += [
            "**Written by force: the comparison with the Keras model FAILED (see below).**",
            "",
        ]
    lines += [
        f"{metadata.description} Made from `{metadata.model}`.",
        "",
        f"- Input `images`: {images} (1, {height}, {width}, {channels}), {scale}.",
        f"- Output `{output}`: {maps}",
        *([f"- In float32: {', '.join(metadata.in_float)}."] if metadata.in_float else []),
        f"- Size: {path.stat().st_size / 2**20:.2f} MiB.",
        f"- Operations: {', '.join(operations)}.",
        f"- Classes: {', '.join(metadata.class_names)}; ignore label {metadata.ignore_label}.",
        "",
        "## Beside the Keras model",
        "",
        parity_table({metadata.form: report}),
        "",
        f"{str(report)[0].upper()}{str(report)[1:]}.",
        "",
    ]
    return "\n".join(lines)
