"""Label maps and overlays by exported models, with their runtime alone: neither Keras nor, for
LiteRT and ONNX files, TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.prediction.image_files import (
    Paths,
    ReadImage,
    find_images,
    find_others,
    read_file,
)
from keras_ctxseg.prediction.label_files import label_format
from keras_ctxseg.prediction.written_predictions import (
    Labelled,
    PredictionResult,
    write_predictions,
)


class SegmentsImages(Protocol):
    """What `predict_exported` needs of an exported model, as `ctx.export.load` gives."""

    def segment(self, images: np.ndarray) -> np.ndarray:
        """Class ids int32 (batch, height, width) of images uint8 (batch, height, width, 3)."""


def predict_exported(
    model: SegmentsImages,
    paths: Paths,
    output_dir: str | os.PathLike,
    palette: np.ndarray,
    class_names: Sequence[str],
    opacity: float = 0.5,
    progress: bool = False,
    format: str = "palette",
    reading: ImageReading = PLAIN,
) -> PredictionResult:
    """As `predict`, by an exported model: Keras is not needed.

    Args:
        model: from `keras_ctxseg.export.load`.
        paths, output_dir, palette, class_names, opacity, progress, format, reading: as in
            `predict`.

    Raises:
        ValueError: see `predict`.
    """
    palette = np.asarray(palette, np.uint8)
    output_dir = Path(output_dir)

    def label(file: Path, name: Path, read: ReadImage) -> Labelled:
        try:
            labels = model.segment(read.image[np.newaxis])[0]
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        return Labelled(reading.shown(read.image), labels, labels, read.orientation)

    return write_predictions(
        find_images(paths, leave_out=output_dir),
        output_dir,
        lambda file: read_file(file, reading),
        label,
        label_format(format, class_names, palette),
        class_names,
        opacity,
        progress,
        find_others(paths, leave_out=output_dir),
    )
