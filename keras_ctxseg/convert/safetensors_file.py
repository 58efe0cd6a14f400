"""`.safetensors` files: eight bytes of length, a JSON table, then the arrays."""

import json
import struct
from pathlib import Path

import numpy as np

from keras_ctxseg.convert.report import ConversionError

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_LONGEST_TABLE = 100_000_000


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays; bfloat16 becomes float32, exactly.

    Raises:
        ConversionError: If the file is damaged or holds a type that has no NumPy counterpart.
    """
    data = memoryview(path.read_bytes())
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if length > min(_LONGEST_TABLE, len(data) - 8):
            raise ConversionError("its table is longer than the file; it is damaged or truncated")
        table = json.loads(bytes(data[8 : 8 + length]))
        table.pop("__metadata__", None)
        body = data[8 + length :]
        return {name: _array(name, entry, body) for name, entry in table.items()}
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{path}: no .safetensors file that can be read ({error})") from error


def _array(name: str, entry: dict, body: memoryview) -> np.ndarray:
    if entry["dtype"] not in _DTYPES:
        raise ConversionError(f"{name} has the type {entry['dtype']}, which NumPy has not")
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not 0 <= begin <= end <= len(body) or end - begin != size:
        raise ConversionError(f"{name} reaches outside the file; it is damaged or truncated")
    array = np.frombuffer(body[begin:end], dtype)
    if entry["dtype"] == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    return array.reshape(shape)
