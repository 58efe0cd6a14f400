"""Runs LiteRT files, and reads what they say about themselves."""

from __future__ import annotations

import json
import zipfile
from functools import cached_property
from pathlib import Path

import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.loading.metadata import FileMetadata

# Files of the archive that `export.litert.metadata` appends to the model.
LABELS_FILE = "labels.txt"
DETAILS_FILE = "keras_ctxseg.json"


class LitertFile:
    """A loaded file with one input `images` and an output `logits` or `labels`; see `StaticFile`.

    Args:
        path: the file.
        threads: that it computes with; by default LiteRT's own choice.

    Raises:
        ExportError: the file cannot be loaded, or has other inputs or outputs.
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        from ai_edge_litert.interpreter import Interpreter

        self.path = Path(path)
        try:
            with captured_noise():
                # Read here, so that a missing file is an ordinary error of the operating system.
                interpreter = Interpreter(model_content=self.path.read_bytes(), num_threads=threads)
                self._segment = interpreter.get_signature_runner()
        except (OSError, ValueError, RuntimeError) as error:
            raise ExportError(f"{path}: cannot be loaded as a LiteRT file: {error}") from error
        inputs, outputs = self._segment.get_input_details(), self._segment.get_output_details()
        known = [name for name in ("logits", "labels") if name in outputs]
        if list(inputs) != ["images"] or not known:
            raise ExportError(
                f"{path}: expected a LiteRT file with the input 'images' and an output 'logits' or"
                f" 'labels'. Found: inputs {sorted(inputs)}, outputs {sorted(outputs)}."
            )
        self.output = known[0]
        self._dtype = inputs["images"]["dtype"]
        _, height, width, channels = inputs["images"]["shape"]
        self.input_size = (int(height), int(width))
        self.channels = int(channels)

    @cached_property
    def metadata(self) -> FileMetadata | None:
        """What the file says about itself; None where it says nothing."""
        return read_metadata(self.path)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if self._dtype == np.uint8 != image.dtype:
            raise ValueError(f"{self.path}: expected a uint8 image. Received {image.dtype}.")
        return self._segment(images=image[np.newaxis].astype(self._dtype))[self.output][0]


def read_metadata(path: str | Path) -> FileMetadata | None:
    """The metadata of a file; None where it has none, or another program's without class names.

    Of a file from elsewhere the class names are read, if it has them in `labels.txt`.
    """
    try:
        with zipfile.ZipFile(path) as files:
            names = files.namelist()
            if DETAILS_FILE in names:
                details = json.loads(files.read(DETAILS_FILE))
                return FileMetadata.of(details)
            if LABELS_FILE in names:
                lines = files.read(LABELS_FILE).decode().splitlines()
                return FileMetadata("", "", "", lines)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError):
        pass
    return None
