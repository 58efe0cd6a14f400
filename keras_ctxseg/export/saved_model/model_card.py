"""Describes a SavedModel: `labels.json` for programs, and a Markdown card for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg._version import __version__
from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.export.loading.metadata import LabelsFile
from keras_ctxseg.export.parity.report import ParityReport, parity_table
from keras_ctxseg.export.publishing.argument_checks import (
    checked_names,
    checked_palette,
    logits_channels,
)

MODEL_CARD = Path("assets.extra") / "model_card.md"

_RGB_SIGNATURES = """\
| signature | takes | gives |
|---|---|---|
| `serving_default` | `images`: JPEG or PNG files, string (batch,) | `labels`, `scores`, `sizes`, \
`errors`, `class_names` |
| `float_images` | `images`: float32 (batch, height, width, 3), RGB in 0..255 | `logits`, `labels` |
| `logits` | the same | `logits` |
| `labels` | the same | `labels`, `scores`, in the memory of a few rows' logits |
"""


_SIGNATURES = """\
| signature | takes | gives |
|---|---|---|
| `serving_default`, `labels` | `images`: float32 (batch, height, width, {channels}), on the scale \
of the training images | `labels`, `scores`, in the memory of a few rows' logits |
| `float_images` | the same | `logits`, `labels` |
| `logits` | the same | `logits` |
"""


def labels_file(
    model: keras.Model,
    class_names: Sequence[str],
    palette: np.ndarray | None,
    ignore_label: int,
    image_scale: float,
    reading: ImageReading = PLAIN,
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
        images=reading.as_dict(),
    )


def model_card(
    model: str,
    class_names: Sequence[str],
    report: ParityReport,
    *,
    channels: int,
    takes_files: bool = True,
    version: str,
    bytes_stored: int,
    parameters: int,
    precision: str,
    image_scale: float,
    ignore_label: int,
    facts: Mapping[str, str] | None = None,
) -> str:
    """The card of a SavedModel.

    Args:
        model: name of the Keras model.
        class_names: in the order of the logits.
        report: the export's comparison with the Keras model.
        channels: of the images.
        takes_files: whether a signature takes JPEG and PNG files, if the images are RGB.
        version: of the export.
        bytes_stored: size of the graph with its weights.
        parameters: of the Keras model.
        precision: what the graph computes in.
        image_scale, ignore_label: see `ServingModule`.
        facts: what else is known, by name: data set, scores, licence, command.
    """
    lines = [
        f"# {model}, version {version}",
        "",
        f"Semantic segmentation, exported by keras_ctxseg {__version__}.",
        "",
        f"- Parameters: {parameters:,}; stored: {bytes_stored / 2**20:.1f} MiB, weights frozen,"
        f" {precision}.",
        f"- Images are scaled by {image_scale:g} before the network sees them; answers are at the"
        " images' own size.",
        f"- {len(class_names)} classes: {', '.join(class_names)}."
        f" Label {ignore_label} is no class.",
        *(f"- {name}: {fact}" for name, fact in (facts or {}).items()),
        "- Licence of the code: Apache-2.0. That of the weights follows from the data they were"
        " trained on.",
        "",
        "## Signatures",
        "",
        _RGB_SIGNATURES if channels == 3 and takes_files else _SIGNATURES.format(channels=channels),
        "## Beside the Keras model",
        "",
        parity_table({"SavedModel": report}),
        "",
        f"{str(report)[0].upper()}{str(report)[1:]}.",
        "",
    ]
    return "\n".join(lines)
