"""A LiteRT or ONNX file as a `LoadedModel`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.resampling import resize_label
from keras_ctxseg.export.litert.file import resized_image
from keras_ctxseg.export.loading.load import LoadedModel
from keras_ctxseg.export.static_file import open_file


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
            ignore_label=255 if metadata is None else metadata.ignore_label,
            input_size=self._file.input_size,
            batch=1,
        )

    def segment(self, images: np.ndarray) -> np.ndarray:
        size = images.shape[1:3]
        return np.stack([self._segment_one(image, size) for image in images])

    def _segment_one(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        result = self._file(resized_image(image, self._file.input_size))
        if self._file.output == "labels":
            labels = tf.constant(result.astype(np.int32))
            return labels.numpy() if size == self.input_size else resize_label(labels, size).numpy()
        if size != self.input_size:
            result = tf.image.resize(result, size)
        return tf.argmax(result, axis=-1, output_type=tf.int32).numpy()
