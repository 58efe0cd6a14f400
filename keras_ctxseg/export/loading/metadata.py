"""What exported files say about themselves: their classes, colours and comparison with Keras."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

LABELS_FILE = Path("assets.extra") / "labels.json"


@dataclass(frozen=True)
class FileMetadata:
    """What a LiteRT or ONNX file says about itself.

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
        images: how image files are read, see `ImageReading`.
    """

    model: str
    form: str
    description: str
    class_names: list[str]
    palette: list[list[int]] | None = None
    ignore_label: int = IGNORE_LABEL
    in_float: tuple[str, ...] = ()
    forced: bool = False
    parity: dict[str, Any] = dataclasses.field(default_factory=dict)
    images: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, details: dict[str, Any]) -> FileMetadata:
        """From `dataclasses.asdict`, by way of JSON."""
        return cls(**{**details, "in_float": tuple(details["in_float"])})


@dataclass(frozen=True)
class LabelsFile:
    """What a SavedModel's `assets.extra/labels.json` says beside the graph.

    `palette` is a list of RGB triples in 0..255, one a class, or None; `images` says how image
    files are read, see `ImageReading`.
    """

    model: str
    class_names: list[str]
    palette: list[list[int]] | None
    ignore_label: int
    image_scale: float
    images: dict[str, Any] = dataclasses.field(default_factory=dict)


def read_labels_file(version_directory: Path) -> LabelsFile:
    """Reads `assets.extra/labels.json` of an export; ExportError if it is not one."""
    path = version_directory / LABELS_FILE
    try:
        return LabelsFile(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise ExportError(
            f"{version_directory}: expected a SavedModel exported by keras_ctxseg,"
            f" with {LABELS_FILE}. Received: {error}."
        ) from error
