"""LiteRT and ONNX files: of one input size, hence wrapped as a `LoadedModel` of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from keras_ctxseg.export.loading.loaded_model import LoadedModel
from keras_ctxseg.export.loading.metadata import FileMetadata
from keras_ctxseg.export.loading.resizing import (
    labels_of_resized,
    resized_image,
    resized_labels,
)
from keras_ctxseg.labels.panoptic import IGNORE_LABEL


class StaticFile(Protocol):
    """A loaded file with one input `images` and an output `logits` or `labels`.

    Attributes:
        path: the file.
        input_size: height and width of the images that it takes.
        channels: of the images.
        output: `"logits"` or `"labels"`.
        metadata: what it says about itself, or None.
    """

    path: Path
    input_size: tuple[int, int]
    channels: int
    output: str

    @property
    def metadata(self) -> FileMetadata | None: ...

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Logits float32 (height, width, classes), or class ids (height, width).

        Args:
            image: (height, width, channels) of `input_size`; RGB is uint8.
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
        super().__init__(
            path,
            class_names=None if metadata is None else metadata.class_names,
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
        result = self._file(resized_image(image, self._file.input_size))
        if self._file.output == "labels":
            return resized_labels(result.astype(np.int32), size)
        return labels_of_resized(result, size)
