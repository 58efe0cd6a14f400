"""Reads ONNX files: what they say about themselves, and what they compute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.loading.metadata import FileMetadata

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
    """A loaded file with one input `images` and an output `logits` or `labels`; see `StaticFile`.

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
        inputs = {each.name: each for each in self._session.get_inputs()}
        outputs = [each.name for each in self._session.get_outputs()]
        known = [name for name in ("logits", "labels") if name in outputs]
        shape = inputs["images"].shape[1:] if "images" in inputs else []
        if list(inputs) != ["images"] or not known or not all(isinstance(n, int) for n in shape):
            found = {name: each.shape for name, each in inputs.items()}
            raise ExportError(
                f"{path}: expected an ONNX file with the input 'images' of one size and an output"
                f" 'logits' or 'labels'. Found: inputs {found}, outputs {outputs}."
            )
        self.output = known[0]
        self.input_size = (int(shape[0]), int(shape[1]))
        self.channels = int(shape[2])

    @cached_property
    def metadata(self) -> FileMetadata | None:
        """What the file says about itself; None where another program made it."""
        entries = self._session.get_modelmeta().custom_metadata_map
        try:
            return FileMetadata.of(json.loads(entries[DETAILS_KEY]))
        except (KeyError, TypeError, ValueError):
            return None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        images = image[np.newaxis].astype(np.float32)
        return self._session.run([self.output], {"images": images})[0][0]
