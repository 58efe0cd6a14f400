"""Image files: found by paths, folders and globs, read as stored, named in the output."""

from __future__ import annotations

import glob
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.images import SUFFIXES, pixels_of, read_stored

# Images that people have and that nothing here reads: named as failures, not left out.
FOREIGN_SUFFIXES = (
    ".heic", ".heif", ".avif", ".jxl", ".psd", ".tga", ".exr", ".hdr", ".dng", ".cr2", ".nef",
    ".arw", ".raw", ".svg", ".dcm", ".ico", ".jfif", ".jpe", ".j2k", ".pnm", ".dib",
)  # fmt: skip
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_ASIDE = ("thumbs.db", "desktop.ini")
_NARROW = 2**14  # below it, 16-bit values fill less than a quarter

Paths = str | os.PathLike | Sequence[str | os.PathLike]


def find_images(paths: Paths, leave_out: Path | None = None) -> list[Path]:
    """All image files that `paths` means, sorted, each once.

    Args:
        paths: files, folders (searched with all their subfolders for images) or globs such as
            `"photos/**/*.jpg"`; one of them or several.
        leave_out: a folder whose files are not taken, when it lies in a searched one.

    Raises:
        ValueError: nothing there, or nothing of an image's name.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    found: set[Path] = set()
    for given in paths:
        path = Path(given)
        if path.is_dir():
            matches = [file for file in path.rglob("*") if _is_image(file, leave_out)]
        elif path.exists():
            matches = [path]
        elif glob.has_magic(str(given)):
            files = map(Path, glob.glob(str(given), recursive=True))
            matches = [file for file in files if _is_image(file, leave_out)]
        else:
            siblings = os.listdir(path.parent) if path.parent.is_dir() else []
            raise ValueError(
                f"{given}: expected an image file, a folder or a glob. "
                f"Found nothing there.{nearest(path.name, siblings)}"
            )
        if not matches:
            raise ValueError(f"{given}: expected files ending in {', '.join(SUFFIXES)}. Found none")
        found.update(matches)
    return sorted(found)


def find_others(paths: Paths, leave_out: Path | None = None) -> list[Path]:
    """Files in the folders among `paths` that are no images, sorted; see `find_images`."""
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    return sorted(
        file
        for folder in map(Path, paths)
        if folder.is_dir()
        for file in folder.rglob("*")
        if _is_searched(file, leave_out) and not _is_image(file, leave_out)
    )


def find_files(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Files and globs as files, sorted, each once; what is not there is kept as it was given."""
    found: set[Path] = set()
    for path in map(str, paths):
        found.update(map(Path, glob.glob(path, recursive=True) or [path]))
    return sorted(found)


def output_names(files: Sequence[Path]) -> list[Path]:
    """A relative path without suffix for each file, all different.

    Folders below the deepest folder that holds all files are kept. Files that differ in their
    suffix only keep it in the name.
    """
    if not files:
        return []
    parents = [file.absolute().parent for file in files]
    root = Path(os.path.commonpath(parents))
    places = [file.absolute().relative_to(root) for file in files]
    stems = Counter(place.with_suffix("") for place in places)
    return [
        place.with_suffix("") if stems[place.with_suffix("")] == 1 else place for place in places
    ]


class ReadImage(NamedTuple):
    """An image as a network sees it, upright mostly, and how the file stores it.

    Attributes:
        image: uint8 (height, width, channels).
        orientation: by which the stored pixels were turned, EXIF's; 1 is not at all.
    """

    image: np.ndarray
    orientation: int


def read_file(file: Path, reading: ImageReading) -> ReadImage:
    """Reads an image file; ValueError, which names it, where it cannot be read."""
    stored = read_stored(file, reading.max_pixels)
    turned = 1 if reading.exif == "keep" else stored.header.orientation
    narrow = stored.values.dtype == np.uint16 and reading.range is None
    if narrow and int(stored.values.max()) < _NARROW:
        warnings.warn(
            f"{file}: its 16-bit values, {stored.values.min()} ... {stored.values.max()}, become "
            "nearly black; train with the option `range`",
            stacklevel=2,
        )
    return ReadImage(pixels_of(stored, file, reading), turned)


def _is_image(file: Path, leave_out: Path | None) -> bool:
    """Whether a file is to be labelled: an image by its name, or else by its first bytes."""
    if not _is_searched(file, leave_out):
        return False
    suffix = file.suffix.lower()
    if suffix in SUFFIXES or suffix in FOREIGN_SUFFIXES:
        return True
    try:
        with file.open("rb") as opened:
            return opened.read(8).startswith(_SIGNATURES)
    except OSError:
        return False


def _is_searched(file: Path, leave_out: Path | None) -> bool:
    if not file.is_file() or file.name.startswith(".") or file.name.lower() in _ASIDE:
        return False
    return leave_out is None or leave_out.absolute() not in file.absolute().parents
