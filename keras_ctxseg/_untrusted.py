"""Limits for files that may be damaged, or made to do harm.

What a file declares (sizes, counts) is compared with the file's own size before it is believed.
"""

import lzma
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterable

import h5py

from keras_ctxseg._hdf5_probe import PROBE, check_hdf5

KERAS_WEIGHTS = "model.weights.h5"
SLACK = 64 * 2**20
RATIO = 100
"""Zeros compress a thousandfold; whole files of weights hardly at all."""

UNREADABLE = (
    AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError, OverflowError,
    RecursionError, RuntimeError, TypeError, ValueError, lzma.LZMAError, pickle.PickleError,
    struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What Python's and other people's parsers raise for damaged files."""


class LimitError(ValueError):
    """A file that declares more than it can hold."""


def check_unpacked(sizes: Iterable[int], file_size: int, what: str = "its members") -> None:
    """Refuses contents that are far larger than their file.

    Args:
        sizes: Bytes of each part once unpacked, as declared.
        file_size: Of the whole file.
        what: What the message calls the parts.

    Raises:
        LimitError: Above `RATIO` times the file and `SLACK` bytes.
    """
    total, limit = sum(sizes), RATIO * file_size + SLACK
    if total > limit:
        raise LimitError(
            f"{what} declare {total:,} bytes; expected at most {limit:,} of a file of {file_size:,}"
        )


def check_zip(archive: zipfile.ZipFile) -> None:
    """Refuses members that are encrypted, compressed in a rare way, or far larger than the file.

    Raises:
        LimitError: Naming the member.
    """
    members = archive.infolist()
    for member in members:
        if member.flag_bits & 0x1:
            raise LimitError(f"{member.filename!r} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise LimitError(
                f"{member.filename!r} is compressed by method {member.compress_type}, expected 0 "
                f"(stored) or 8 (deflated)"
            )
    assert archive.fp is not None
    position = archive.fp.tell()
    file_size = archive.fp.seek(0, 2)
    archive.fp.seek(position)
    check_unpacked((member.file_size for member in members), file_size)


def check_hdf5_file(path: str | os.PathLike) -> None:
    """Reads an HDF5 file in another process first, which may crash or run for ever on it.

    Raises:
        LimitError: What is wrong with it.
    """
    if not h5py.is_hdf5(path):  # looks for its signature alone
        raise LimitError("not an HDF5 file")
    limit = RATIO * os.stat(path).st_size + SLACK
    command = [sys.executable, "-P", PROBE, os.fspath(path), str(limit)]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if result.returncode == 1:
        raise LimitError(result.stderr.strip().splitlines()[-1])
    if result.returncode:
        raise LimitError(f"the HDF5 library crashed or did not end on it ({result.returncode})")


def check_keras_file(path: str | os.PathLike, what: str = "the file") -> None:
    """Looks at a `.keras` or `.h5` file's checksums and declared sizes before Keras reads it.

    Args:
        path: The file.
        what: What the message calls it.

    Raises:
        ValueError: Naming the file, and what is wrong with it.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_zip(archive)
                damaged = archive.testzip()
                if damaged is not None:
                    raise LimitError(f"{damaged} fails its checksum")
                if KERAS_WEIGHTS in archive.namelist():
                    # In this process: checksums have found it undamaged.
                    limit = RATIO * archive.getinfo(KERAS_WEIGHTS).file_size + SLACK
                    with archive.open(KERAS_WEIGHTS) as member, h5py.File(member) as weights:
                        check_hdf5(weights, limit)
        else:
            check_hdf5_file(path)
    except UNREADABLE as error:
        raise ValueError(f"cannot read {what} {os.fspath(path)}: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """An error's own words in one line; its class too, where the words alone say little."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and not isinstance(error, (AttributeError, LookupError, TypeError)):
        return lines[0]
    return ": ".join([type(error).__name__, *lines[:1]])
