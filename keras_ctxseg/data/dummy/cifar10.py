"""CIFAR-10's binary version, unpacked."""

from pathlib import Path

import numpy as np

from keras_ctxseg.data.builders.cifar10 import CLASS_NAMES
from keras_ctxseg.data.dummy.files import write_lines
from keras_ctxseg.data.dummy.pictures import Pictures

_PIXELS = 32 * 32 * 3


def write_cifar10(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images in each of the five training files and in the test file."""
    folder = root / "cifar-10-batches-bin"
    write_lines(folder / "batches.meta.txt", CLASS_NAMES)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        records = pictures.random.integers(0, 256, (count, 1 + _PIXELS), np.uint8)
        records[:, 0] %= len(CLASS_NAMES)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
