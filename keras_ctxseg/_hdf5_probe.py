"""`python _hdf5_probe.py FILE BYTES`: reads all of an HDF5 file, in a process of its own.

The HDF5 library may crash or run for ever on a damaged file, and nothing can stop it from inside.
This file imports nothing of the package, so that the process starts at once.
"""

import math
import sys

import h5py

PROBE = __file__
SECONDS = 20  # of processor time, beside a second for 20 MB


def check_hdf5(file: h5py.File, limit: int) -> None:
    """Refuses data outside the file, other types than numbers, and larger sizes than `limit`.

    Raises:
        ValueError: Naming the first data set of the kind, or the bytes that all declare.
    """
    total = 0

    def visit(name: str, item: h5py.HLObject) -> None:
        nonlocal total
        if not isinstance(item, h5py.Dataset):
            return
        if item.external is not None or item.is_virtual:
            raise ValueError(f"{name!r} points to another file")
        if item.dtype.kind not in "biufV":  # V: bfloat16
            raise ValueError(f"{name!r} holds {item.dtype}, expected numbers")
        total += math.prod(item.shape or ()) * item.dtype.itemsize

    file.visititems(visit)
    if total > limit:
        raise ValueError(f"its data sets declare {total:,} bytes; expected at most {limit:,}")


def _read_all(path: str, limit: int) -> None:
    with h5py.File(path, "r") as file:
        check_hdf5(file, limit)

        def visit(name: str, item: h5py.HLObject) -> None:
            list(item.attrs.items())
            if isinstance(item, h5py.Dataset):
                item[()]

        list(file.attrs.items())
        file.visititems(visit)


if __name__ == "__main__":
    import resource

    seconds = SECONDS + int(sys.argv[2]) // 20_000_000
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        _read_all(sys.argv[1], int(sys.argv[2]))
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        sys.exit(words)
