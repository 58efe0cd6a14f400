"""Reads ONNX files: what they say about themselves, and what they compute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.loading.litert_file import names_beside
from keras_ctxseg.export.loading.metadata import FileMetadata
from keras_ctxseg.export.loading.tensors import ChosenOutput, ImageInput, TensorInfo

# The names of the entries in a file's `metadata_props`.
LABELS_KEY = "labels"
DETAILS_KEY = "keras_ctxseg"


EXTRA = ("onnx", "onnxruntime", "tf2onnx")


def require_onnx(packages: Sequence[str] = EXTRA) -> None:
    """Raises ExportError, with what to install, unless these packages of the extra are there."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ExportError(
            f"ONNX files need {', '.join(missing)}: pip install 'keras_ctxseg[onnx]'."
        )


class OnnxFile:
    """A loaded file with one image and a map of scores or class ids; see `StaticFile`.

    ONNX Runtime runs it on the CPU.

    Args:
        path: the file.
        threads: that it computes with; by default ONNX Runtime's own choice.

    Raises:
        ExportError: `onnxruntime` is not installed, or the file cannot be loaded, or has other
            inputs or outputs.
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        require_onnx(["onnxruntime"])  # alone runs files
        import onnxruntime

        self.path = Path(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # Errors are exceptions as well.
        options.intra_op_num_threads = threads or 0
        try:
            self._session = onnxruntime.InferenceSession(
                self.path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises types of its own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"{path}: cannot be loaded as an ONNX file: {reason}") from error
        inputs = [_info(each) for each in self._session.get_inputs()]
        outputs = [_info(each) for each in self._session.get_outputs()]
        self._image = ImageInput(inputs, path)
        self._chosen = ChosenOutput(outputs, path, self._image.channels_first)
        self.output = self._chosen.kind
        self.classes = self._chosen.classes
        self.input_size = self._image.size
        self.channels = self._image.channels
        own = self.metadata is not None and self.metadata.form
        self.guesses_range = self._image.is_guess and not own

    @cached_property
    def metadata(self) -> FileMetadata | None:
        """What the file says about itself, or names beside it; None where there is neither."""
        entries = self._session.get_modelmeta().custom_metadata_map
        try:
            return FileMetadata.of(json.loads(entries[DETAILS_KEY]))
        except (KeyError, TypeError, ValueError):
            return names_beside(self.path)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if self._image.info.dtype == np.uint8 != image.dtype:
            raise ValueError(f"{self.path}: expected a uint8 image. Received {image.dtype}.")
        feeds = {self._image.info.name: self._image.of(image)}
        try:
            (result,) = self._session.run([self._chosen.info.name], feeds)
        except Exception as error:  # ONNX Runtime raises types of its own
            height, width = image.shape[:2]
            reason = " ".join(str(error).split())
            raise ExportError(
                f"{self.path}: cannot be run on an image of {height}x{width}: {reason}"
            ) from error
        return self._chosen.of(result)


def _info(argument: Any) -> TensorInfo:
    kind = argument.type.removeprefix("tensor(").removesuffix(")")
    kind = {"float": "float32", "double": "float64"}.get(kind, kind)
    try:
        dtype = np.dtype(kind)
    except TypeError:  # strings, sequences, bfloat16
        dtype = np.dtype(object)
    shape = tuple(size if isinstance(size, int) else None for size in argument.shape or ())
    return TensorInfo(argument.name, shape, dtype)
