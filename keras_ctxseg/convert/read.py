"""One way to read every kind of checkpoint."""

import tarfile
import tempfile
from pathlib import Path

import numpy as np

from keras_ctxseg.convert.keras_file import read_keras
from keras_ctxseg.convert.report import ConversionError
from keras_ctxseg.convert.safetensors_file import read_safetensors
from keras_ctxseg.convert.tensorflow_file import read_tensorflow
from keras_ctxseg.convert.torch_file import read_torch

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
    if path.name.endswith(_ARCHIVES) and path.is_file():
        return _read_archive(path)
    if path.suffix in _READERS:
        if not path.is_file():
            raise ConversionError(f"{path}: no such file")
        return _READERS[path.suffix](path)
    return read_tensorflow(path)


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                # "data" refuses links and paths that lead outside the folder.
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ConversionError(
                f"{path}: no whole archive; it is damaged or truncated ({error})"
            ) from error
        found = sorted(Path(folder).rglob("*.index"))
        if len(found) != 1:
            raise ConversionError(
                f"{path}: expected one TensorFlow checkpoint (*.index) in it. Found: {len(found)}"
            )
        try:
            return read_tensorflow(found[0])
        except ConversionError as error:
            raise ConversionError(f"{path}: {error}") from None
