"""Which files of a folder belong together."""

import dataclasses
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from keras_ctxseg.data.images import SUFFIXES, FileError

_COUNTED = {"missing_mask": "images without a mask", "missing_image": "masks without an image"}
_ASIDE = ("thumbs.db", "desktop.ini")
_SPLITS = {
    "train": "train", "training": "train", "trn": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "trainval": "trainval",
}  # fmt: skip


def split_of(text: str) -> str:
    """The split that a folder's or a list's name means; `""` for other names.

    `training`, `trn` and `train2017` mean `train`; `valid`, `validation` and `dev` mean `val`.
    """
    return _SPLITS.get(re.sub(r"[\d_-]*$", "", text.lower()), "")


def split_names(names: Iterable[str]) -> dict[str, str]:
    """What splits of these names are called: `valid` is `val` unless there is a `val` as well."""
    names = list(names)
    called: dict[str, str] = {}
    for name in names:
        meant = split_of(name)
        taken = meant in names or meant in called.values()
        called[name] = name if not meant or taken else meant
    return called


@dataclasses.dataclass(frozen=True)
class ExamplePaths:
    """One example: its name (the files' common stem), its image and its mask."""

    name: str
    image: Path
    mask: Path


@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """What was found in a folder.

    Attributes:
        splits: the examples of each split that are complete, sorted by name; the folders `valid`
            and `validation` are the split `val`, `training` is `train`.
        problems: files without their partner, names given twice, folders missing or empty.
        skipped: files that nobody reads, by their names no images.
    """

    splits: dict[str, list[ExamplePaths]]
    problems: list[FileError]
    skipped: list[Path]


def find_splits(root: Path) -> dict[str, list[ExamplePaths]]:
    """The examples of each split, sorted by name.

    Raises:
        FileError: no such folder, no split in it, an empty one, an image without a mask or a
            mask without an image.
    """
    layout = scan_folder(root)
    if not layout.problems:
        return layout.splits
    first = layout.problems[0]
    alike = [
        problem
        for problem in layout.problems
        if problem.code == first.code and problem.path.parent == first.path.parent
    ]
    if first.code in _COUNTED and len(alike) > 1:
        count = f" ({len(alike)} {_COUNTED[first.code]} in all)"
        raise FileError(first.code, first.path, first.text + count)
    raise first


def scan_folder(root: Path) -> FolderLayout:
    """Pair the files of each split, and go on where some do not pair."""
    layout = FolderLayout({}, [], [])
    if not root.is_dir():
        found = "a file" if root.exists() else "none"
        layout.problems.append(FileError("layout", root, f"expected a folder. Found: {found}"))
        return layout
    folders = sorted(folder for folder in root.iterdir() if (folder / "images").is_dir())
    if not folders:
        inside = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
        text = (
            "expected splits, each with images and labels (train/images, train/labels, "
            f"val/images, ...). Found: {inside}"
        )
        layout.problems.append(FileError("layout", root, text))
    names = split_names(folder.name for folder in folders)
    for folder in folders:
        layout.splits[names[folder.name]] = _pair(folder, layout)
    return layout


def _pair(split: Path, layout: FolderLayout) -> list[ExamplePaths]:
    images, masks = _by_stem(split / "images", layout), _by_stem(split / "labels", layout)
    if not images or not masks:
        return []  # that is the problem, rather than each file without a partner
    for stem in sorted(images.keys() ^ masks.keys()):
        if stem in images:
            code, path = "missing_mask", images[stem]
            text = f"expected a mask {split / 'labels' / stem}.png. Found: none"
        else:
            code, path = "missing_image", masks[stem]
            text = f"expected an image {split / 'images' / stem}.jpg or .png. Found: none"
        layout.problems.append(FileError(code, path, text))
    return [
        ExamplePaths(stem, images[stem], masks[stem]) for stem in sorted(images) if stem in masks
    ]


def _by_stem(folder: Path, layout: FolderLayout) -> dict[str, Path]:
    if not folder.is_dir():
        text = "expected a folder of masks beside images/. Found: none"
        layout.problems.append(FileError("layout", folder, text))
        return {}
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.name.lower() in _ASIDE:
            continue
        if file.suffix.lower() not in SUFFIXES:
            layout.skipped.append(file)
            continue
        # macOS writes accents as two characters (NFD), other systems as one.
        stem = unicodedata.normalize("NFC", file.stem)
        if stem in files:
            text = f"expected one file for each name. Found: {files[stem].name} as well"
            layout.problems.append(FileError("same_name", file, text))
        else:
            files[stem] = file
    if not files:
        text = f"expected files ending in {', '.join(SUFFIXES)}. Found: none"
        layout.problems.append(FileError("layout", folder, text))
    return files
