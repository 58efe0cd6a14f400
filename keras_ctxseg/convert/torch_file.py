"""PyTorch's `.pth` files: the zip archive (since 1.6) and the row of pickles before it."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.convert.errors import ConversionError
from keras_ctxseg.convert.torch_pickle import Storage, Tensor, TensorUnpickler

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
    try:
        with open(path, "rb") as file:
            read = _read_zip if zipfile.is_zipfile(file) else _read_legacy
            file.seek(0)
            content = read(file)
        tensors = {name: tensor.array() for name, tensor in _state_dict(content).items()}
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError, struct.error) as error:
        raise ConversionError(
            f"{path}: no whole PyTorch file, damaged or truncated ({error or 'it ends early'})"
        ) from error
    except (TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise ConversionError(f"{path}: no PyTorch weights that can be read ({error})") from error
    if not tensors:
        raise ConversionError(f"{path}: no tensors in it")
    return tensors


def _read_zip(file) -> Any:
    with zipfile.ZipFile(file) as archive:
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
        data = file.read(size * storage.bytes_per_value)
        storage.fill(data)
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
