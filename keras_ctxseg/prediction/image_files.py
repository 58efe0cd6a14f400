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
from keras_ctxseg.data.images import SUFFIXES, is_turned, open_image, read_image

Paths = str | os.PathLike | Sequence[str | os.PathLike]


def find_images(paths: Paths, leave_out: Path | None = None) -> list[Path]:
    """All image files that `paths` means, sorted, each once.

    Args:
        paths: files, folders (searched with all their subfolders for JPEG and PNG files) or globs
            such as `"photos/**/*.jpg"`; one of them or several.
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


class StoredImage(NamedTuple):
    """Pixels as stored, uint8 (height, width, 3), and whether EXIF data would turn them."""

    image: np.ndarray
    turned: bool


def read_stored(file: Path) -> StoredImage:
    """Reads an image file; ValueError, which names it, where it cannot be read."""
    image = read_image(file)
    with open_image(file) as header:
        return StoredImage(image, is_turned(header))


def warn_of_turned(file: Path) -> None:
    """Warns that a file's EXIF orientation is ignored, as in training."""
    warnings.warn(
        f"{file}: its EXIF orientation is not applied; the result is turned like the stored "
        "pixels.",
        stacklevel=2,
    )


def _is_image(file: Path, leave_out: Path | None) -> bool:
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        return False
    return leave_out is None or leave_out.absolute() not in file.absolute().parents
