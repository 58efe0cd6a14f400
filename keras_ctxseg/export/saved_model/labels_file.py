"""What an exported SavedModel says about its classes, beside the graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg.export.errors import ExportError

LABELS_FILE = Path("assets.extra") / "labels.json"


@dataclass(frozen=True)
class LabelsFile:
    """What `assets.extra/labels.json` says beside the graph.

    `palette` is a list of RGB triples in 0..255, one a class, or None.
    """

    model: str
    class_names: list[str]
    palette: list[list[int]] | None
    ignore_label: int
    image_scale: float


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


def labels_file(
    model: keras.Model,
    class_names: Sequence[str],
    palette: np.ndarray | None,
    ignore_label: int,
    image_scale: float,
) -> LabelsFile:
    """What the file of a model says; ValueError for what does not fit the model."""
    channels = logits_channels(model)
    if not image_scale > 0:
        raise ValueError(f"image_scale: expected a factor above 0. Received {image_scale!r}.")
    if 0 <= ignore_label < channels:
        raise ValueError(
            f"ignore_label: expected a number that is no class id (0..{channels - 1})."
            f" Received {ignore_label}."
        )
    return LabelsFile(
        model=model.name,
        class_names=checked_names(class_names, channels),
        palette=checked_palette(palette, channels),
        ignore_label=int(ignore_label),
        image_scale=float(image_scale),
    )


def logits_channels(model: keras.Model) -> int:
    """Number of classes of a model with `"logits"`; ValueError for any other model."""
    output = getattr(model, "output", None)
    if not isinstance(output, dict) or "logits" not in output:
        received = sorted(output) if isinstance(output, dict) else type(output).__name__
        raise ValueError(
            f"model: expected a functional model whose output is a dict with 'logits'."
            f" Received {received}."
        )
    return output["logits"].shape[-1]


def checked_names(class_names: Sequence[str], channels: int) -> list[str]:
    """The names as a list; ValueError unless there is one for each channel of the logits."""
    if len(class_names) != channels:
        raise ValueError(
            f"class_names: expected {channels} names, one for each channel of the model's logits."
            f" Received {len(class_names)}."
        )
    return list(class_names)


def checked_palette(palette: np.ndarray | None, channels: int) -> list[list[int]] | None:
    """The palette as lists; ValueError unless it is RGB in 0..255, a colour a class."""
    if palette is None:
        return None
    palette = np.asarray(palette)
    if palette.shape != (channels, 3) or palette.min() < 0 or palette.max() > 255:
        found = f", {palette.min()} to {palette.max()}" if palette.size else ""
        raise ValueError(
            f"palette: expected integers (classes, 3) = ({channels}, 3) in 0..255."
            f" Received shape {palette.shape}{found}."
        )
    return palette.astype(int).tolist()
