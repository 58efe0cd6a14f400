"""The pickles inside PyTorch's files, read without PyTorch and without running anything.

A pickle is a program: it may name any function of any installed package and have it called. Here
it may name what stands in `_ALLOWED`, all of it harmless and most of it our own; anything else ends
the reading before it is looked up, let alone called.
"""

import collections
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_ctxseg.convert.errors import ConversionError


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


class TensorUnpickler(pickle.Unpickler):
    """Reads nested containers of numbers, texts and `Tensor`s; refuses every other object.

    Args:
        file: Binary file at the start of a pickle.
        storage_of: Function `(dtype, key, size)` to the `Storage` of that key.
    """

    def __init__(self, file, storage_of: Callable[[str, str, int], Storage]):
        super().__init__(file)
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
