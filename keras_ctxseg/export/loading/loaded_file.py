"""LiteRT and ONNX files, mostly of one input size, as a `LoadedModel` of any size."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.loading.loaded_model import LoadedModel
from keras_ctxseg.export.loading.metadata import FileMetadata
from keras_ctxseg.export.loading.resizing import (
    labels_of_resized,
    resized_image,
    resized_labels,
)
from keras_ctxseg.labels.panoptic import IGNORE_LABEL


class StaticFile(Protocol):
    """A loaded file with one input, an image, and an output of scores or class ids.

    Attributes:
        path: the file.
        input_size: height and width of the images that it takes; None if it takes any.
        channels: of the images.
        output: `"logits"` or `"labels"`.
        classes: their number, if the output tells.
        guesses_range: whether the file does not say how images are to be normalised.
        metadata: what it says about itself, or None.
    """

    path: Path
    input_size: tuple[int, int] | None
    channels: int
    output: str
    classes: int | None
    guesses_range: bool

    @property
    def metadata(self) -> FileMetadata | None: ...

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Logits float32 (height, width, classes), or class ids (height, width).

        Args:
            image: (height, width, channels) of `input_size`; RGB is uint8.

        Raises:
            ExportError: the file does not run: damage that loading does not show, or a size that
                the network does not take.
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
        from keras_ctxseg.export.loading.onnx_file import OnnxFile

        return OnnxFile(path, threads)
    from keras_ctxseg.export.loading.litert_file import LitertFile

    return LitertFile(path, threads)


class LoadedFile(LoadedModel):
    """Resizes each image to the file's size, and what comes out to the image's.

    Logits are resized bilinearly before the classes are chosen; class ids by the nearest pixel.

    Args:
        path: the file.
        threads: that it computes with; by default the runtime's own choice.

    Raises:
        ExportError: it cannot be loaded, or has other inputs or outputs.
    """

    def __init__(self, path: Path, threads: int | None = None):
        self._file = open_file(path, threads)
        metadata = self._file.metadata
        names = None if metadata is None else metadata.class_names
        classes = self._file.classes
        if names is not None and classes is not None and len(names) != classes:
            warnings.warn(
                f"{path}: {len(names)} class names for {classes} classes; they are left out.",
                stacklevel=3,
            )
            names = metadata = None
        if self._file.guesses_range:
            warnings.warn(
                f"{path}: the file does not say how images are normalised: RGB in 0..255 is taken.",
                stacklevel=3,
            )
        super().__init__(
            path,
            class_names=names,
            palette=None if metadata is None else metadata.palette,
            ignore_label=IGNORE_LABEL if metadata is None else metadata.ignore_label,
            input_size=self._file.input_size,
            batch=1,
            channels=self._file.channels,
            images=None if metadata is None else metadata.images,
        )

    def _segment(self, images: np.ndarray) -> np.ndarray:
        size = images.shape[1:3]
        return np.stack([self._segment_one(image, size) for image in images])

    def _segment_one(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        if self._file.input_size is not None:
            image = resized_image(image, self._file.input_size)
        result = self._file(image)
        if self._file.output == "logits":
            if not np.isfinite(result).all():
                raise ExportError(f"{self.path}: NaN or infinite scores: is the file damaged?")
            return labels_of_resized(result, size)
        labels = result.astype(np.int32)
        known = labels if self.class_names is None else labels[labels != self.ignore_label]
        most = 2**31 if self.class_names is None else len(self.class_names)
        if known.size and not 0 <= known.min() <= known.max() < most:
            raise ExportError(
                f"{self.path}: expected class ids from 0 to {most - 1}."
                f" It gave {known.min()} to {known.max()}: is it damaged, or another's names?"
            )
        return resized_labels(labels, size)
