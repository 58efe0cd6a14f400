"""A SavedModel as a `LoadedModel`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.loading.loaded_model import LoadedModel
from keras_ctxseg.export.loading.metadata import LABELS_FILE, read_labels_file
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

BATCH = 8
# The first needs the memory of a few rows of logits, the second, of older exports, that of all.
_SIGNATURES = ("labels", "float_images")


class LoadedSavedModel(LoadedModel):
    """Takes each image at its own size, and neighbours of one size together.

    Args:
        path: a version's directory, or that of all versions: the newest is taken.

    Raises:
        ExportError: it cannot be loaded, or is another program's.
    """

    def __init__(self, path: Path):
        version = _version(path)
        try:
            with captured_noise():
                self._loaded = tf.saved_model.load(str(version))
            signatures = dict(self._loaded.signatures)
        except Exception as error:  # a truncated graph or index raises types of protobuf's own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"{version}: cannot be loaded as a SavedModel: {reason}") from error
        known = [name for name in _SIGNATURES if name in signatures]
        if not known:
            raise ExportError(
                f"{version}: expected a SavedModel exported by keras_ctxseg, with the signature"
                f" {_SIGNATURES[0]!r}. Found: {', '.join(sorted(signatures)) or 'none'}."
            )
        self._labels = signatures[known[0]]
        images = self._labels.structured_input_signature[1]["images"]
        labels = read_labels_file(version) if (version / LABELS_FILE).exists() else None
        super().__init__(
            version,
            class_names=None if labels is None else labels.class_names,
            palette=None if labels is None else labels.palette,
            ignore_label=IGNORE_LABEL if labels is None else labels.ignore_label,
            input_size=None,
            batch=BATCH,
            channels=images.shape[-1],
            images=None if labels is None else labels.images,
        )

    def _segment(self, images: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        try:
            found = self._labels(images=tf.constant(images, tf.float32))
        except tf.errors.OpError as error:
            text = next(
                (line for line in str(error).splitlines() if "expected" in line), str(error)
            )
            raise ExportError(f"image of {height}x{width}: {' '.join(text.split())}") from error
        for name in ("scores", "logits"):
            if name in found and not np.isfinite(found[name]).all():
                raise ExportError(f"{self.path}: NaN or infinite {name}: is it damaged?")
        return found["labels"].numpy()


def _version(path: Path) -> Path:
    if (path / "saved_model.pb").is_file():
        return path
    versions = [
        entry
        for entry in path.iterdir()
        if entry.name.isdecimal() and (entry / "saved_model.pb").is_file()
    ]
    if not versions:
        raise ExportError(
            f"{path}: expected a SavedModel, or a directory of versions 1, 2, ... of one."
            " Found no saved_model.pb."
        )
    return max(versions, key=lambda entry: int(entry.name))
