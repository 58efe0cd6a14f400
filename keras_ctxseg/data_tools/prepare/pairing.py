"""Finding images and their masks in folders of any depth."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.pair import SOURCE_SUFFIXES


def find_sources(folder: str | os.PathLike) -> dict[str, Path]:
    """The image files of a folder and its subfolders, by path without suffix, sorted.

    Raises:
        FileError: no such folder, none in it, or two of one name.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        found = "a file" if root.exists() else "none"
        raise FileError("layout", root, f"expected a folder of images. Found: {found}")
    files: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in SOURCE_SUFFIXES or path.name.startswith("."):
            continue
        key = path.relative_to(root).with_suffix("").as_posix()
        if key in files:
            text = f"expected one file for each name. Found: {files[key].name} as well"
            raise FileError("same_name", path, text)
        files[key] = path
    if not files:
        text = f"expected files ending in {', '.join(SOURCE_SUFFIXES)}. Found: none"
        raise FileError("layout", root, text)
    return files


def pair_files(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    image_suffix: str = "",
    mask_suffix: str = "",
    skip_unpaired: bool = False,
) -> dict[str, tuple[Path, Path]]:
    """Image and mask by name, where both have the same path below their folders.

    Args:
        images, masks: the folders; one and the same if `mask_suffix` tells masks apart.
        image_suffix, mask_suffix: what the names of images and masks end in, before the file's
            suffix, and what is left out when they are compared: `"_L"` for `a.png` and `a_L.png`.
        skip_unpaired: leave files without a partner out.

    Raises:
        FileError: a file without a partner; says which suffix would make pairs, if one would.
    """
    image_files = _stripped(find_sources(images), image_suffix)
    mask_files = _stripped(find_sources(masks), mask_suffix)
    if Path(images).resolve() == Path(masks).resolve():
        if not mask_suffix:
            text = "expected a suffix that tells masks from images (--mask-suffix). Found: none"
            raise FileError("layout", Path(masks), text)
        taken = set(mask_files.values())
        image_files = {key: path for key, path in image_files.items() if path not in taken}
    both = image_files.keys() & mask_files.keys()
    lonely = sorted(image_files.keys() ^ mask_files.keys())
    if lonely and not (skip_unpaired and both):
        suggestion = _suggestion(list(image_files), list(mask_files), mask_suffix)
        if lonely[0] in image_files:
            code, path, partner, folder = "missing_mask", image_files[lonely[0]], "mask", masks
        else:
            code, path, partner, folder = "missing_image", mask_files[lonely[0]], "image", images
        raise FileError(
            code,
            path,
            f"expected a {partner} of the same name in {folder}. Found: none ({len(lonely)} files "
            f"without a partner, {len(both)} pairs).{suggestion}",
        )
    return {key.replace("/", "__"): (image_files[key], mask_files[key]) for key in sorted(both)}


def _stripped(files: dict[str, Path], suffix: str) -> dict[str, Path]:
    return {key.removesuffix(suffix): path for key, path in files.items() if key.endswith(suffix)}


def _suggestion(images: Sequence[str], masks: Sequence[str], given: str) -> str:
    """The ending that most masks have beyond an image's name."""
    if given:
        return ""
    names = set(images)
    endings: Counter[str] = Counter()
    for mask in masks:
        # The longest image name that the mask's name begins with.
        for length in range(len(mask) - 1, 0, -1):
            if mask[:length] in names:
                endings[mask[length:]] += 1
                break
    if not endings:
        return " (--skip-unpaired leaves such files out.)"
    ending, count = endings.most_common(1)[0]
    return f" --mask-suffix {ending} would make {count} pairs."


_PLACE = "{split}"


def given_splits(splits: Sequence[str], *paths: str) -> dict[str, tuple[str, ...]]:
    """The paths of each split; without splits, one entry for the empty name.

    Args:
        splits: names of splits; with them every path holds `{split}`.
        *paths: files or folders.

    Raises:
        ValueError: `{split}` without splits, or splits without it.
    """
    for path in paths:
        if bool(splits) != (_PLACE in str(path)):
            raise ValueError(
                f"{path}: expected {'a path with' if splits else 'no'} {_PLACE} in it, "
                f"{'as' if splits else 'unless'} splits are given (--splits train,val)"
            )
    if len(set(splits)) != len(splits):
        raise ValueError(f"`splits`: expected different names. Received: {', '.join(splits)}")
    return {
        split: tuple(str(path).replace(_PLACE, split) for path in paths)
        for split in (splits or [""])
    }
