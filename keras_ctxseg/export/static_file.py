"""What LiteRT and ONNX files have in common: one file, one input size, a card beside it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.parity.report import ParityReport
from keras_ctxseg.export.saved_model.labels_file import (
    checked_names,
    checked_palette,
    logits_channels,
)
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE


@dataclass(frozen=True)
class FileMetadata:
    """What a file says about itself.

    Attributes:
        model: the Keras model's name.
        form: one of `keras_ctxseg.export.FORMS`.
        description: for people.
        class_names: one a class.
        palette: RGB triples in 0..255, one a class, or None.
        ignore_label: the id of no class.
        in_float: what a quantised file keeps in float32, in words.
        forced: whether it was written although the comparison failed.
        parity: the comparison's figures.
    """

    model: str
    form: str
    description: str
    class_names: list[str]
    palette: list[list[int]] | None = None
    ignore_label: int = 255
    in_float: tuple[str, ...] = ()
    forced: bool = False
    parity: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, details: dict[str, Any]) -> FileMetadata:
        """From `dataclasses.asdict`, by way of JSON."""
        return cls(**{**details, "in_float": tuple(details["in_float"])})

    def compared(self, report: ParityReport) -> FileMetadata:
        """With a comparison's figures."""
        figures = {
            key: value
            for key, value in dataclasses.asdict(report).items()
            # JSON has no infinity: a limit that is none is left out.
            if key != "path" and value != float("inf")
        }
        return dataclasses.replace(self, forced=not report.passed, parity=figures)


class StaticFile(Protocol):
    """A loaded file with one input `images` and an output `logits` or `labels`.

    Attributes:
        path: the file.
        input_size: height and width of the images that it takes.
        output: `"logits"` or `"labels"`.
        metadata: what it says about itself, or None.
    """

    path: Path
    input_size: tuple[int, int]
    output: str

    @property
    def metadata(self) -> FileMetadata | None: ...

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Logits float32 (height, width, classes), or class ids (height, width).

        Args:
            image: uint8 (height, width, 3) of `input_size`.
        """


def open_file(path: str | Path, threads: int | None = None) -> StaticFile:
    """Loads a file: ONNX by its suffix `.onnx`, LiteRT otherwise.

    Args:
        path: the file.
        threads: that it computes with; by default the runtime's own choice.

    Raises:
        ExportError: it cannot be loaded, or has other inputs or outputs.
    """
    if Path(path).suffix == ".onnx":
        from keras_ctxseg.export.onnx.file import OnnxFile

        return OnnxFile(path, threads)
    from keras_ctxseg.export.litert.file import LitertFile

    return LitertFile(path, threads)


def file_metadata(
    model: keras.Model,
    form: str,
    description: str,
    class_names: Sequence[str] | None,
    palette: np.ndarray | None,
    ignore_label: int,
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
    )


def checked_size(model: keras.Model, input_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width; ValueError for sides that the model does not take."""
    logits_channels(model)
    height, width = (int(side) for side in input_size)
    if min(height, width) < MINIMUM_SIZE:
        raise ValueError(
            f"input_size: expected height and width of at least {MINIMUM_SIZE}."
            f" Received {input_size!r}."
        )
    built = model.inputs[0].shape[1:3]
    if any(have not in (None, want) for have, want in zip(built, (height, width), strict=True)):
        raise ValueError(
            f"input_size: expected {tuple(built)}, which the model was built for."
            f" Received {input_size!r}."
        )
    return height, width


def write_candidate(candidate: Path, content: bytes, path: Path) -> None:
    """Writes a file at a temporary place; an ExportError names `path`, where it is to go."""
    try:
        candidate.write_bytes(content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}.") from error


def publish_file(candidate: Path, card: str, path: Path, card_name: str) -> None:
    """Moves a file and its card from a temporary place to `path`, replacing what was there."""
    written = candidate.with_name(card_name)
    write_candidate(written, card.encode(), path)
    try:
        os.replace(candidate, path)
        os.replace(written, path.with_name(card_name))
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}.") from error
