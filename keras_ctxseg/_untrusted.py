"""Limits for files that may be damaged, or made to do harm.

What a file declares (sizes, counts) is compared with the file's own size before it is believed.
"""

import lzma
import math
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

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


def check_hdf5(file: Any, file_size: int) -> None:
    """Refuses an `h5py.File` with data outside it, other types than numbers, or too large sizes.

    Raises:
        LimitError: Naming the first data set of the kind.
    """
    import h5py

    sizes = []

    def visit(name: str, item) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.external is not None or item.is_virtual:
            raise LimitError(f"{name!r} points to another file")
        if item.dtype.kind not in "biuf":
            raise LimitError(f"{name!r} holds {item.dtype}, expected numbers")
        sizes.append(math.prod(item.shape or ()) * item.dtype.itemsize)

    file.visititems(visit)
    check_unpacked(sizes, file_size, "its data sets")


def first_line(error: BaseException) -> str:
    """An error's own words in one line; its class too, where the words alone say little."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and not isinstance(error, (AttributeError, LookupError, TypeError)):
        return lines[0]
    return ": ".join([type(error).__name__, *lines[:1]])
