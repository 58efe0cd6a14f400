"""Which files of a folder belong together."""

import dataclasses
from pathlib import Path

from keras_ctxseg.data.images import SUFFIXES


@dataclasses.dataclass(frozen=True)
class ExamplePaths:
    """One example: its name (the files' common stem), its image and its mask."""

    name: str
    image: Path
    mask: Path


def find_splits(root: Path) -> dict[str, list[ExamplePaths]]:
    """The examples of each split, sorted by name.

    Raises:
        ValueError: no such folder, no split in it, an empty one, an image without a mask or a
            mask without an image.
    """
    if not root.is_dir():
        raise ValueError(
            f"{root}: expected a folder. Found: {'a file' if root.exists() else 'none'}"
        )
    folders = sorted(folder for folder in root.iterdir() if (folder / "images").is_dir())
    if not folders:
        inside = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
        raise ValueError(
            f"{root}: expected splits, each with images and labels (train/images, train/labels, "
            f"val/images, ...). Found: {inside}"
        )
    return {folder.name: _pair(folder) for folder in folders}


def _pair(split: Path) -> list[ExamplePaths]:
    images, masks = _by_stem(split / "images"), _by_stem(split / "labels")
    for stem in sorted(images.keys() ^ masks.keys()):
        if stem in images:
            raise ValueError(
                f"{images[stem]}: expected a mask {split / 'labels' / stem}.png. Found: none"
                f"{_count(images.keys() - masks.keys(), 'images without a mask')}"
            )
        raise ValueError(
            f"{masks[stem]}: expected an image {split / 'images' / stem}.jpg or .png. Found: none"
            f"{_count(masks.keys() - images.keys(), 'masks without an image')}"
        )
    return [ExamplePaths(stem, images[stem], masks[stem]) for stem in sorted(images)]


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of masks beside images/. Found: none")
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
            continue
        if file.stem in files:
            raise ValueError(
                f"{file}: expected one file for each name. Found: {files[file.stem].name} as well"
            )
        files[file.stem] = file
    if not files:
        raise ValueError(f"{folder}: expected files ending in {', '.join(SUFFIXES)}. Found: none")
    return files


def _count(stems: set[str], what: str) -> str:
    return f" ({len(stems)} {what} in all)" if len(stems) > 1 else ""
