"""Runs LiteRT files, this package's and others', and reads what they say about themselves."""

from __future__ import annotations

import json
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers.table import Table

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.loading.metadata import FileMetadata
from keras_ctxseg.export.loading.tensors import ChosenOutput, ImageInput, TensorInfo

# Files of the archive that `export.litert.metadata` appends to the model.
LABELS_FILE = "labels.txt"
DETAILS_FILE = "keras_ctxseg.json"
METADATA_BUFFER = b"TFLITE_METADATA"


class LitertFile:
    """A loaded file with one image and a map of scores or class ids; see `StaticFile`.

    Type, scale and zero point of input and output are the file's, with any signature or none.

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
                content = self.path.read_bytes()
                self._interpreter = Interpreter(model_content=content, num_threads=threads)
                inputs, outputs = _tensors(self._interpreter)
                if all(None not in info.shape for info, _ in inputs):
                    self._interpreter.allocate_tensors()
        except (OSError, ValueError, RuntimeError) as error:
            raise ExportError(f"{path}: cannot be loaded as a LiteRT file: {error}") from error
        self._inputs = [index for _, index in inputs]
        self._outputs = [index for _, index in outputs]
        self._image = ImageInput([info for info, _ in inputs], path, read_normalisation(content))
        self._chosen = ChosenOutput([info for info, _ in outputs], path, self._image.channels_first)
        self.output = self._chosen.kind
        self.classes = self._chosen.classes
        self.input_size = self._image.size
        self.channels = self._image.channels
        own = self.metadata is not None and self.metadata.form
        self.guesses_range = self._image.is_guess and not own
        self._prepared: tuple[int, ...] | None = None

    @cached_property
    def metadata(self) -> FileMetadata | None:
        """What the file says about itself; None where it says nothing."""
        return read_metadata(self.path)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if self._image.info.dtype == np.uint8 != image.dtype:
            raise ValueError(f"{self.path}: expected a uint8 image. Received {image.dtype}.")
        values = self._image.of(image)
        try:
            self._prepare(values.shape)
            self._interpreter.set_tensor(self._inputs[0], values)
            self._interpreter.invoke()
            result = self._interpreter.get_tensor(self._outputs[self._chosen.index])
        except (ValueError, RuntimeError) as error:
            height, width = image.shape[:2]
            reason = " ".join(str(error).split())
            raise ExportError(
                f"{self.path}: cannot be run on an image of {height}x{width}: {reason}"
            ) from error
        return self._chosen.of(result)

    def _prepare(self, shape: tuple[int, ...]) -> None:
        """Brings open sizes to those of the image."""
        if shape == self._prepared:
            return
        with captured_noise():
            if list(shape) != list(self._interpreter.get_input_details()[0]["shape"]):
                self._interpreter.resize_tensor_input(self._inputs[0], shape, strict=True)
            self._interpreter.allocate_tensors()
        self._prepared = shape


def _tensors(interpreter: Any) -> list[list[tuple[TensorInfo, int]]]:
    """Inputs and outputs with their places, by the names of the first signature if there is one."""
    names: dict[int, str] = {}
    for key in list(interpreter.get_signature_list())[:1]:
        runner = interpreter.get_signature_runner(key)
        for details in (runner.get_input_details(), runner.get_output_details()):
            names |= {each["index"]: name for name, each in details.items()}
    found = []
    for details in (interpreter.get_input_details(), interpreter.get_output_details()):
        found.append([(_info(each, names), each["index"]) for each in details])
    return found


def _info(details: dict[str, Any], names: dict[int, str]) -> TensorInfo:
    shape = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    scale, zero_point = details["quantization"]
    return TensorInfo(
        names.get(details["index"], details["name"]),
        tuple(int(size) if size >= 0 else None for size in shape),
        np.dtype(details["dtype"]),
        float(scale),
        int(zero_point),
    )


def read_metadata(path: str | Path) -> FileMetadata | None:
    """The metadata of a file; None where it has none, or another program's without class names.

    Of a file from elsewhere the class names are read: from `labels.txt` or the only text file in
    its archive, else from `<name>.txt` or `labels.txt` beside it.
    """
    path = Path(path)
    lines = None
    try:
        with zipfile.ZipFile(path) as files:
            names = files.namelist()
            if DETAILS_FILE in names:
                details = json.loads(files.read(DETAILS_FILE))
                return FileMetadata.of(details)
            texts = [name for name in names if name.endswith(".txt")]
            if LABELS_FILE in names or len(texts) == 1:
                inside = LABELS_FILE if LABELS_FILE in names else texts[0]
                lines = files.read(inside).decode().splitlines()
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError):
        pass
    return FileMetadata("", "", "", lines) if lines else names_beside(path)


def names_beside(path: Path) -> FileMetadata | None:
    """Class names, a line each, from `<name>.txt` or `labels.txt` beside a file."""
    for beside in (path.with_suffix(".txt"), path.with_name(LABELS_FILE)):
        try:
            lines = beside.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        if lines:
            return FileMetadata("", "", "", lines)
    return None


def read_normalisation(content: bytes) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of the image from a file's metadata, None without any.

    `NormalizationOptions` of the first input; slots are those of metadata_schema.fbs.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.Model.GetRootAsModel(content, 0)
        for index in range(model.MetadataLength()):
            entry = model.Metadata(index)
            if entry.Name() == METADATA_BUFFER:
                buffer = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
                return _normalisation(buffer)
    except Exception:  # damage anywhere in a description that is not needed
        pass
    return None


def _normalisation(buffer: bytes) -> tuple[list[float], list[float]] | None:
    root = Table(buffer, int.from_bytes(buffer[:4], "little"))
    subgraph = _children(root, 3)[0]
    image = _children(subgraph, 2)[0]
    for unit in _children(image, 4):
        if unit.Bytes[unit.Pos + unit.Offset(4)] == 1:  # NormalizationOptions
            options = Table(buffer, unit.Indirect(unit.Pos + unit.Offset(6)))
            mean, deviation = _floats(options, 0), _floats(options, 1)
            if len(mean) in (1, 3) and len(deviation) in (1, 3) and all(deviation):
                return mean, deviation
    return None


def _children(table: Table, slot: int) -> list[Table]:
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        return []
    start = table.Vector(offset)
    return [
        Table(table.Bytes, table.Indirect(start + 4 * k)) for k in range(table.VectorLen(offset))
    ]


def _floats(table: Table, slot: int) -> list[float]:
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        return []
    start = table.Vector(offset)
    return np.frombuffer(table.Bytes, "<f4", table.VectorLen(offset), start).tolist()
