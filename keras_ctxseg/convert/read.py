"""Reads checkpoints of every kind; `.safetensors` and Keras' own files are read here.

Keras' files are `.keras`, `.weights.h5`, and the `.h5` of Keras 1 and 2. No layer is created.
"""

import json
import math
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from keras_ctxseg._untrusted import (
    KERAS_WEIGHTS,
    UNREADABLE,
    LimitError,
    check_hdf5_file,
    check_unpacked,
    check_zip,
    first_line,
)
from keras_ctxseg.convert.report import ConversionError
from keras_ctxseg.convert.tensorflow_file import read_tensorflow
from keras_ctxseg.convert.torch_file import read_torch

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_LONGEST_TABLE = 16 * 2**20


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays; bfloat16 becomes float32, exactly.

    Raises:
        ConversionError: If the file is damaged or holds a type that has no NumPy counterpart.
    """
    data = memoryview(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(_LONGEST_TABLE, len(data) - 8):
        raise ConversionError("its table is longer than the file; it is damaged or truncated")
    table = json.loads(bytes(data[8 : 8 + length]))
    table.pop("__metadata__", None)
    body = data[8 + length :]
    spans = [entry["data_offsets"] for entry in table.values()]
    if sum(end - begin for begin, end in spans) > len(body):
        raise ConversionError("its arrays overlap or reach outside the file")
    return {name: _array(name, entry, body) for name, entry in table.items()}


def _array(name: str, entry: dict, body: memoryview) -> np.ndarray:
    if entry["dtype"] not in _DTYPES:
        raise ConversionError(f"{name} has the type {entry['dtype']}, which NumPy has not")
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ConversionError(f"{name} has the shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if not 0 <= begin <= end <= len(body) or end - begin != size:
        raise ConversionError(f"{name} reaches outside the file; it is damaged or truncated")
    array = np.frombuffer(body[begin:end], dtype)
    if entry["dtype"] == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    return array.reshape(shape)


_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Reads `{"<layer>/<weight>": array}`, the weights named as Keras names them.

    A layer without weights is there too, with nothing after its name and an empty array, so that
    whoever knows the architecture can see that it has one.

    Raises:
        ConversionError: If the file is damaged, or too old to tell its layers' names.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_zip(archive)
            content = archive.read(KERAS_WEIGHTS)
        with tempfile.TemporaryDirectory() as folder:
            inner = Path(folder) / KERAS_WEIGHTS
            inner.write_bytes(content)
            return _read_hdf5(inner)
    return _read_hdf5(path)


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    check_hdf5_file(path)
    with h5py.File(path) as file:
        arrays = _read(file)
    for name, array in arrays.items():
        if array.ndim > 1 and not np.any(array):
            raise ConversionError(f"{name} holds zeros alone; the file is damaged")
    return arrays


def _read(file: h5py.File) -> dict[str, np.ndarray]:
    groups = file.get("model_weights", file)
    return _read_legacy(groups) if "layer_names" in groups.attrs else _read_current(file)


def _read_legacy(file) -> dict[str, np.ndarray]:
    """One group a layer, each weight named `layer/weight:0`."""
    weights = {}
    for layer in map(_text, file.attrs["layer_names"]):
        names = [_text(name) for name in file[layer].attrs["weight_names"]]
        for name in names:
            role = name.rsplit("/", 1)[-1].removesuffix(":0").removeprefix("depthwise_")
            weights[f"{layer}/{role}"] = file[layer][name][()]
        if not names:
            weights[f"{layer}/"] = np.zeros(0)
    return weights


def _read_current(file: h5py.File) -> dict[str, np.ndarray]:
    """A group `vars` for each layer; its layer's name is an attribute, its weights are numbered."""
    weights: dict[str, np.ndarray] = {}

    def visit(path: str, group) -> None:
        if not isinstance(group, h5py.Group) or path.rsplit("/", 1)[-1] != "vars":
            return
        values = [group[key][()] for key in sorted(group, key=int)]
        if "name" not in group.attrs:
            if values:
                raise ConversionError(
                    "written by a Keras that did not store the layers' names; load it and save it "
                    "again with Keras 3.8 or newer"
                )
            return
        name = _text(group.attrs["name"])
        if any(key.startswith(f"{name}/") for key in weights):
            raise ConversionError(f"two layers are called {name!r}")
        roles = ("kernel", "bias") if values and values[0].ndim > 1 else _NORM
        if not values:
            weights[f"{name}/"] = np.zeros(0)
        for role, value in zip(roles, values, strict=False):
            weights[f"{name}/{role}"] = value

    file.visititems(visit)
    return weights


def _text(name) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


_READERS = {
    ".pth": read_torch,
    ".pt": read_torch,
    ".bin": read_torch,
    ".safetensors": read_safetensors,
    ".keras": read_keras,
    ".h5": read_keras,
}
_ARCHIVES = (".tar.gz", ".tgz", ".tar")


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Reads every array of a checkpoint, whoever wrote it. No code in the file is run.

    Args:
        path: `.pth`, `.pt`, `.bin`, `.safetensors`, `.keras`, `.h5` (`.weights.h5` too), a
            TensorFlow checkpoint (its prefix, its `.index` file or its folder), or a `.tar.gz` with
            one in it.

    Returns:
        `{name: array}`, named and laid out as in the file.

    Raises:
        ConversionError: If it is not there, damaged, or refused.
    """
    path = Path(path)
    read = _reader(path)
    try:
        arrays = read(path)
    except (ConversionError, LimitError) as error:
        text = str(error)
        raise ConversionError(text if text.startswith(f"{path}:") else f"{path}: {text}") from None
    except UNREADABLE as error:
        raise ConversionError(
            f"{path}: no whole checkpoint; it is damaged, truncated or of another kind "
            f"({first_line(error)})"
        ) from error
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ConversionError(f"{path}: {name!r} holds {array.dtype}, expected numbers")
    if not any(array.size for array in arrays.values()):
        raise ConversionError(f"{path}: no weights in it")
    return arrays


def _reader(path: Path) -> Callable[[Path], dict[str, np.ndarray]]:
    if path.name.endswith(_ARCHIVES) and path.is_file():
        return _read_archive
    if path.suffix not in _READERS:
        return read_tensorflow
    if not path.is_file():
        raise ConversionError(f"{path}: no such file")
    return _READERS[path.suffix]


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                members = [member for member in archive if member.isreg() and not member.issparse()]
                check_unpacked((member.size for member in members), path.stat().st_size)
                # "data" refuses links and paths that lead outside the folder.
                archive.extractall(folder, members, filter="data")
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise ConversionError(
                f"no whole archive; it is damaged or truncated ({first_line(error)})"
            ) from error
        found = sorted(Path(folder).rglob("*.index"))
        if len(found) != 1:
            raise ConversionError(
                f"{path}: expected one TensorFlow checkpoint (*.index) in it. Found: {len(found)}"
            )
        return read_tensorflow(found[0])
