"""Files as PyTorch and safetensors write them, made without either."""

import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage",
    "int64": "LongStorage", "int32": "IntStorage", "uint8": "ByteStorage", "bool": "BoolStorage",
    "bfloat16": "BFloat16Storage",
}  # fmt: skip


class _Named:
    """Pickles as the global `module.name`; calling it is left to whoever reads."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class StorageId:
    """Pickles as a persistent identifier."""

    def __init__(self, dtype, key, size):
        self.dtype, self.key, self.size = dtype, key, size


class _Tensor:
    def __init__(self, storage, shape, strides, offset):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


def _modules():
    """Modules in the places that a pickle of PyTorch's names; only their names are used."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild():
        raise AssertionError("never called when writing")

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    for name in _STORAGE.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    return {"torch": torch, "torch._utils": utils}


class _Pickler(pickle.Pickler):
    def __init__(self, file, legacy):
        super().__init__(file, protocol=2)
        self.legacy = legacy

    def persistent_id(self, value):
        if isinstance(value, StorageId):
            kind = getattr(sys.modules["torch"], _STORAGE[value.dtype])
            identifier = ("storage", kind, value.key, "cpu", value.size)
            return (*identifier, None) if self.legacy else identifier
        return None


def _pickled(state, legacy):
    """The pickle of a state dict, and `{key: bytes}` of its storages."""
    storages = {}

    def tensor(array):
        array = np.asarray(array)
        key, dtype = str(len(storages)), array.dtype.name
        # Every fourth one lies in memory transposed and behind a gap, as views do.
        if len(storages) % 4 == 3 and array.ndim == 2:
            gap = np.zeros(3, array.dtype)
            flat = np.concatenate([gap, array.T.reshape(-1)])
            strides, offset = (1, array.shape[0]), 3
        else:
            flat, offset = array.reshape(-1), 0
            strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
        storages[key] = flat
        return _Tensor(StorageId(dtype, key, flat.size), array.shape, strides, offset)

    def convert(value):
        if isinstance(value, dict):
            return collections.OrderedDict((key, convert(one)) for key, one in value.items())
        return tensor(value) if isinstance(value, np.ndarray) else value

    file = io.BytesIO()
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update(_modules())
    try:
        _Pickler(file, legacy).dump(convert(state))
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return file.getvalue(), storages


def write_pth(path, state) -> None:
    """As PyTorch has written since 1.6: a zip archive, uncompressed."""
    content, storages = _pickled(state, legacy=False)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy_pth(path, state) -> None:
    """As PyTorch wrote before 1.6: pickles in a row, then the storages."""
    content, storages = _pickled(state, legacy=True)
    sizes = {"short": 2, "int": 4, "long": 4}
    header = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    with open(path, "wb") as file:
        pickle.dump(MAGIC, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump(header, file, protocol=2)
        file.write(content)
        pickle.dump(list(storages), file, protocol=2)
        for array in storages.values():
            file.write(struct.pack("<q", array.size) + array.tobytes())


def write_safetensors(path, state) -> None:
    """Eight bytes of length, a JSON table, the arrays."""
    kinds = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64"}
    table, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in state.items():
        data = np.ascontiguousarray(array).tobytes()
        table[name] = {
            "dtype": kinds[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    header = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + body)
