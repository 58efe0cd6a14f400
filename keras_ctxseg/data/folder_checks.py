"""Checks of every image and mask before the first step, rather than an error hours later."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.data.check_cache import CheckCache, stamp
from keras_ctxseg.data.class_file import ClassTable, read_class_file
from keras_ctxseg.data.folder_layout import ExamplePaths
from keras_ctxseg.data.images import FileError, decode, ends_properly, is_turned, open_image
from keras_ctxseg.data.masks import MASK_FORMATS, read_mask, read_raw_mask
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_SHOWN = 5
BINARY_ADVICE = (
    "The masks hold 0 and 255, and 255 is void unless the class file says otherwise: add "
    '"label_map": {"0": 0, "255": 1}, "void": []'
)


def check_mask_format(mask_format: str) -> None:
    """Raises `ValueError` for an unknown name."""
    if mask_format not in MASK_FORMATS:
        raise ValueError(
            f"`mask_format`: expected one of {', '.join(MASK_FORMATS)}. Received: {mask_format!r}"
        )


def read_folder_classes(
    root: Path, classes: str | os.PathLike | None, mask_format: str
) -> ClassTable:
    """The classes of a folder, checked against how its masks are written.

    Args:
        root: the data set's folder.
        classes: the class file; `<root>/classes.json` if not given.
        mask_format: one of `MASK_FORMATS`.

    Raises:
        FileError: a class file that is missing, wrong, or lacks the colours it needs.
    """
    class_file = Path(classes).expanduser() if classes else root / "classes.json"
    table = read_class_file(class_file)
    if mask_format == "colors" and not table.colors:
        text = "mask_format='colors' needs the key `palette`. Found: no such key"
        raise FileError("class_file", class_file, text)
    return table


def check_examples(
    root: Path,
    splits: dict[str, list[ExamplePaths]],
    table: ClassTable,
    mask_format: str,
) -> dict[str, np.ndarray]:
    """Check all files, those that are not known to be right since an earlier call.

    Returns:
        For each split, int64 `(examples, 2)`: the images' heights and widths.

    Raises:
        ValueError: with the first few problems, one in a line, and how many there are.
    """
    cache = CheckCache(root, table.text, mask_format)
    examples = [example for paths in splits.values() for example in paths]
    stamps = {example: (*stamp(example.image), *stamp(example.mask)) for example in examples}
    sizes = {example: cache.get(example.image, stamps[example]) for example in examples}
    unknown = [example for example in examples if sizes[example] is None]

    problems, turned = [], []

    def check(example):
        try:
            return check_example(example, table, mask_format), None
        except ValueError as error:
            return None, str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(check, unknown)
        label = f"Checking {root.name}"
        progress = tqdm(results, label, len(unknown), delay=1.0, leave=False)
        for example, (facts, problem) in zip(unknown, progress, strict=True):
            if problem:
                problems.append(problem)
                continue
            sizes[example] = facts[:2]
            cache.put(example.image, stamps[example], facts[:2])
            if facts[2]:
                turned.append(example.image)
    cache.save()
    if problems:
        more = f"\n... and {len(problems) - _SHOWN} more." if len(problems) > _SHOWN else ""
        raise ValueError("\n".join(problems[:_SHOWN]) + more)
    if turned:
        warnings.warn(
            f"{turned[0]}: its EXIF orientation turns or mirrors it in viewers; here it is read as "
            f"stored, so its mask must match the stored pixels ({len(turned)} such images).",
            stacklevel=3,
        )
    return {
        split: np.array([sizes[example] for example in paths], np.int64)
        for split, paths in splits.items()
    }


def check_binary(examples: list[ExamplePaths], table: ClassTable, mask_format: str) -> None:
    """Refuse masks of 0 and 255 whose class file does not say that 255 is the second class.

    255 is void unless the class file says otherwise, so nothing would be learnt.

    Raises:
        FileError: where all masks of two classes hold 0 and 255 alone.
    """
    if mask_format == "colors" or len(table.class_names) != 2 or not examples:
        return
    if table.class_ids[0] != 0 or table.class_ids[IGNORE_LABEL] != IGNORE_LABEL:
        return
    found: set[int] = set()
    for example in examples:  # one mask tells, where both classes are there
        found |= set(np.unique(read_raw_mask(example.mask, mask_format)).tolist())
        if found - {0, IGNORE_LABEL}:
            return
    if IGNORE_LABEL in found:
        raise FileError(
            "one_class",
            examples[0].mask.parent,
            f"expected two classes. Found: 0 and 255, and 255 is void. {BINARY_ADVICE}",
        )


def check_example(
    example: ExamplePaths, table: ClassTable, mask_format: str
) -> tuple[int, int, bool]:
    """Check one image (its header, and that its end is there) and one mask (all of it).

    Returns:
        Height, width, and whether the image's EXIF data asks to turn it.

    Raises:
        FileError: naming the file, what was expected and what was found.
    """
    with open_image(example.image) as image:
        if not ends_properly(example.image, image.format):
            decode(image, example.image)
        check_image_size(example, image)
        turned = is_turned(image)
        check_mask_size(example, image)
    read_mask(example.mask, table, mask_format)
    return image.height, image.width, turned


def check_image_size(example: ExamplePaths, image: Image.Image) -> None:
    """Raises `FileError` where an opened image is too small for the networks."""
    if min(image.size) < MIN_SIZE:
        raise FileError(
            "too_small",
            example.image,
            f"expected at least {MIN_SIZE} pixels a side. Found: {image.height}x{image.width} "
            "(height x width)",
        )


def check_mask_size(example: ExamplePaths, image: Image.Image) -> None:
    """Raises `FileError` where the mask is of another size than its opened image."""
    with open_image(example.mask) as mask:
        if mask.size != image.size:
            hint = " The image's EXIF orientation is not applied." if is_turned(image) else ""
            raise FileError(
                "size_mismatch",
                example.mask,
                f"expected the size of its image {example.image.name}, "
                f"{image.height}x{image.width} (height x width). "
                f"Found: {mask.height}x{mask.width}.{hint}",
            )
