"""Label maps and overlays by exported models, with their runtime alone: neither Keras nor, for
LiteRT and ONNX files, TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_ctxseg.prediction.image_files import (
    Paths,
    StoredImage,
    find_images,
    read_stored,
    warn_of_turned,
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
) -> PredictionResult:
    """As `predict`, by an exported model: Keras is not needed.

    Args:
        model: from `keras_ctxseg.export.load`.
        paths, output_dir, palette, class_names, opacity, progress, format: as in `predict`.

    Raises:
        ValueError: see `predict`.
    """
    palette = np.asarray(palette, np.uint8)
    output_dir = Path(output_dir)

    def label(file: Path, name: Path, stored: StoredImage) -> Labelled:
        if stored.turned:
            warn_of_turned(file)
        try:
            labels = model.segment(stored.image[np.newaxis])[0]
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        return Labelled(stored.image, labels, labels)

    return write_predictions(
        find_images(paths, leave_out=output_dir),
        output_dir,
        read_stored,
        label,
        label_format(format, class_names, palette),
        class_names,
        opacity,
        progress,
    )
