"""Reads PyTorch's `.pth` files, without PyTorch and without running code from them.

A file is a zip archive (since PyTorch 1.6) or a row of pickles (before). A pickle is a program: it
may name any function of any installed package and have it called. Here it may name only what is in
`_ALLOWED`; anything else ends the reading before it is looked up, let alone called.
"""

import collections
import dataclasses
import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_ctxseg._untrusted import check_unpacked, check_zip
from keras_ctxseg.convert.report import ConversionError

_LONGEST_PICKLE = 8 * 2**20  # that of a thousand tensors has some 100 KiB


@dataclasses.dataclass
class Storage:
    """A flat buffer that tensors are views of; `values` is filled in when it has been read."""

    dtype: str
    key: str
    size: int
    values: np.ndarray | None = None

    def fill(self, data: bytes) -> None:
        """Sets `values` from little-endian bytes; bfloat16 becomes float32, exactly."""
        if self.dtype == "bfloat16":
            halves = np.frombuffer(data, "<u2").astype("<u4")
            self.values = (halves << 16).view("<f4")
        else:
            self.values = np.frombuffer(data, np.dtype(self.dtype).newbyteorder("<"))
        if self.values.size < self.size:
            raise ConversionError(
                f"storage {self.key!r} has {self.values.size} of {self.size} values"
            )

    @property
    def bytes_per_value(self) -> int:
        return 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage: an offset, and a size and a stride for each axis, in values."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def bytes_in_all(self) -> int:
        return math.prod(self.shape) * self.storage.bytes_per_value

    def array(self) -> np.ndarray:
        """Returns the values.

        Raises:
            ConversionError: If the view reaches outside its storage.
        """
        values = self.storage.values
        assert values is not None
        last = self.offset + sum(
            (size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)
        )
        numbers = (self.offset, *self.shape, *self.strides)
        empty = 0 in self.shape
        if min(numbers, default=0) < 0 or (not empty and last >= values.size):
            raise ConversionError(f"a tensor of shape {self.shape} reaches outside its storage")
        steps = tuple(stride * values.itemsize for stride in self.strides)
        window = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps)
        return np.ascontiguousarray(window).reshape(self.shape)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, Storage):
        raise ConversionError("a tensor without a storage")
    return Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _Unread:
    """Stands for a value that is no tensor, such as a NumPy number in a log of the training."""

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


_STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}

_ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch.Size": lambda sizes=(): tuple(sizes),
    **{f"torch.{name}": dtype for name, dtype in _STORAGES.items()},
    "numpy.dtype": _Unread,
    "numpy.core.multiarray.scalar": _Unread,
    "numpy._core.multiarray.scalar": _Unread,
    "_codecs.encode": _Unread,
}


class _Bounded:
    """A file of which pickles may take so many bytes; reading never allocates beyond its end."""

    def __init__(self, file):
        self._file = file
        position = file.tell()
        self._end = file.seek(0, io.SEEK_END)
        file.seek(position)
        self._left = _LONGEST_PICKLE

    def read(self, count: int) -> bytes:
        return self._taken(self._file.read(max(min(count, self._end - self._file.tell()), 0)))

    def readline(self) -> bytes:
        return self._taken(self._file.readline(_LONGEST_PICKLE + 1))

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise ConversionError(f"its pickle is longer than {_LONGEST_PICKLE:,} bytes")
        return data


# Python's own unpickler rather than C's: that one makes a table as long as a memo's largest number.
class TensorUnpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Reads nested containers of numbers, texts and `Tensor`s; refuses every other object.

    Args:
        file: Binary file at the start of a pickle.
        storage_of: Function `(dtype, key, size)` to the `Storage` of that key.
    """

    def __init__(self, file, storage_of: Callable[[str, str, int], Storage]):
        super().__init__(_Bounded(file))
        self._storage_of = storage_of

    def find_class(self, module: str, name: str):
        known = f"{module}.{name}"
        if known not in _ALLOWED:
            raise ConversionError(
                f"it holds the Python object {known!r}, which could run code and is not read; save "
                "the model's state_dict() alone, or as .safetensors"
            )
        return _ALLOWED[known]

    def persistent_load(self, identifier):
        # ("storage", type, key, device, size), in old files with a view of another one behind it.
        kind, dtype, key, _, size, *view = identifier
        if kind != "storage" or dtype not in _STORAGES.values() or any(view):
            raise ConversionError(f"it holds a storage that is not understood: {identifier!r:.80}")
        return self._storage_of(dtype, str(key), int(size))

    def _drop_state(self):
        # PyTorch sets `_metadata` on a state dict; nothing here has a state that is needed.
        self.stack.pop()

    dispatch: ClassVar[dict] = {
        **pickle._Unpickler.dispatch,  # type: ignore[attr-defined]
        pickle.BUILD[0]: _drop_state,
    }


_MAGIC = 0x1950A86A20F9469CFC6C
# Where training codes keep the weights beside other things.
_STATE_KEYS = ("state_dict", "model_state_dict", "model", "params")


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a `state_dict`; no code in the file is run.

    Args:
        path: A file that `torch.save` wrote: a state dict, or a dict with one under `state_dict`,
            `model_state_dict`, `model` or `params`.

    Returns:
        `{name: array}`, in the file's order, without a leading `module.`

    Raises:
        ConversionError: If the file is damaged, holds Python objects, or no tensors.
    """
    with open(path, "rb") as file:
        read = _read_zip if zipfile.is_zipfile(file) else _read_legacy
        file.seek(0)
        found = _state_dict(read(file))
    sizes = [tensor.bytes_in_all for tensor in found.values()]
    check_unpacked(sizes, path.stat().st_size, "its tensors")
    tensors = {name: tensor.array() for name, tensor in found.items()}
    if not tensors:
        raise ConversionError("no tensors in it")
    return tensors


def _read_zip(file) -> Any:
    with zipfile.ZipFile(file) as archive:
        check_zip(archive)
        names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            raise ConversionError("a TorchScript program; save the model's state_dict() instead")
        index = next((name for name in names if name.endswith("/data.pkl")), None)
        if index is None:
            raise ConversionError("a zip archive, but not one of PyTorch's: no data.pkl in it")
        folder = index.removesuffix("data.pkl")
        storages: dict[str, Storage] = {}

        def storage_of(dtype, key, size):
            if key not in storages:
                storages[key] = Storage(dtype, key, size)
                storages[key].fill(archive.read(f"{folder}data/{key}"))
            return storages[key]

        return TensorUnpickler(io.BytesIO(archive.read(index)), storage_of).load()


def _read_legacy(file) -> Any:
    storages: dict[str, Storage] = {}

    def storage_of(dtype, key, size):
        return storages.setdefault(key, Storage(dtype, key, size))

    def load():
        return TensorUnpickler(file, storage_of).load()

    if load() != _MAGIC:
        raise ConversionError("not a file of PyTorch's")
    load()  # the version of the protocol
    load()  # the machine's sizes of integers
    content = load()
    for key in load():
        (size,) = struct.unpack("<q", file.read(8))
        storage = storages[key]
        position, end = file.tell(), file.seek(0, io.SEEK_END)
        file.seek(position)
        if not 0 <= size * storage.bytes_per_value <= end - position:
            raise ConversionError(f"storage {key!r} of {size} values reaches outside the file")
        storage.fill(file.read(size * storage.bytes_per_value))
    if file.read(1):
        raise ConversionError("its storages end before the file does")
    unread = [key for key, storage in storages.items() if storage.values is None]
    if unread:
        raise ConversionError(f"storage {unread[0]!r} is not in the file")
    return content


def _state_dict(content: Any) -> dict[str, Tensor]:
    for key in _STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ConversionError(f"a {type(content).__name__}, not a dict of tensors")
    return {
        str(name).removeprefix("module."): value
        for name, value in content.items()
        if isinstance(value, Tensor)
    }
