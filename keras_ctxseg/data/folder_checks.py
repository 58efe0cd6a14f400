"""Checks of every image and mask before the first step, rather than an error hours later."""

import dataclasses
import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.data.check_cache import CheckCache, stamp
from keras_ctxseg.data.class_file import ClassTable, read_class_file
from keras_ctxseg.data.damage import jpeg_is_short
from keras_ctxseg.data.folder_layout import ExamplePaths
from keras_ctxseg.data.image_reading import ImageReading, ReadingError, percentile_range
from keras_ctxseg.data.images import (
    FileError,
    Header,
    check_chunks,
    check_pixels,
    decode_stored,
    open_image,
    pixels_of,
    read_header,
    read_stored,
)
from keras_ctxseg.data.masks import MASK_FORMATS, read_mask, read_raw_mask
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_SHOWN = 5
_MEASURED = 64  # images that a range is measured on
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


class PairFacts(NamedTuple):
    """What the check of a pair found; integers, so that the cache can hold them.

    Attributes:
        height, width, channels: of the image as it is read.
        orientation: by which it is turned; 1 is not at all.
        native: whether TensorFlow decodes the image.
        native_mask: likewise.
        turns_mask: whether the mask has the stored pixels' grid and is turned with the image.
    """

    height: int
    width: int
    channels: int
    orientation: int
    native: int
    native_mask: int
    turns_mask: int


# From the bytes of a JPEG or PNG file to uint8 RGB `(height, width, 3)`, or None for an error.
Decoder = Callable[[bytes], np.ndarray | None]


def image_reading(
    table: ClassTable, options: Mapping[str, Any], splits: Mapping[str, Sequence[ExamplePaths]]
) -> ImageReading:
    """How a folder's images are read: as its class file says, with options on top.

    A range of `"auto"` is measured: the percentiles of up to 64 images of the training split.

    Raises:
        ReadingError: an option that does not fit.
    """
    reading = table.images.changed(options, "data.options")
    if reading.range != "auto":
        return reading
    examples = splits.get("train") or next(iter(splits.values()), [])
    places = np.unique(np.linspace(0, len(examples) - 1, min(_MEASURED, len(examples))).round())
    values = []
    for place in places.astype(int):
        try:
            stored = read_stored(examples[place].image, reading.max_pixels)
            values.append(reading.chosen(stored.values, stored.has_alpha))
        except ValueError:
            continue  # The check of this file tells.
    if not values:
        raise ReadingError("`range`: 'auto' needs a readable image to measure. Found: none")
    return dataclasses.replace(reading, range=percentile_range(values))


def check_examples(
    root: Path,
    splits: dict[str, list[ExamplePaths]],
    table: ClassTable,
    mask_format: str,
    reading: ImageReading,
    decode: Decoder,
) -> dict[str, list[PairFacts]]:
    """Check all files, those that are not known to be right since an earlier call.

    Returns:
        For each split, what was found in each example.

    Raises:
        ValueError: with the first few problems, one in a line, and how many there are.
    """
    rules = f"{reading.key} {reading.max_pixels}"
    cache = CheckCache(root, table.text, mask_format, rules)
    examples = [example for paths in splits.values() for example in paths]
    stamps = {example: (*stamp(example.image), *stamp(example.mask)) for example in examples}
    facts: dict[ExamplePaths, PairFacts] = {}
    for example in examples:
        known = cache.get(example.image, stamps[example])
        if known is not None and len(known) == len(PairFacts._fields):
            found = PairFacts(*known)
            if min(found[:4]) > 0 and found.orientation <= 8:
                facts[example] = found
    unknown = [example for example in examples if example not in facts]
    problems, turned = [], []

    def check(example):
        try:
            return check_example(example, table, mask_format, reading, decode), None
        except ValueError as error:
            return None, str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(check, unknown)
        label = f"Checking {root.name}"
        progress = tqdm(results, label, len(unknown), delay=1.0, leave=False)
        for example, (found, problem) in zip(unknown, progress, strict=True):
            if problem:
                problems.append(problem)
                continue
            facts[example] = found
            cache.put(example.image, stamps[example], found)
            if found.orientation != 1:
                turned.append(example.image)
    cache.save()
    if not problems:
        problems = [str(error) for error in other_channels(facts)]
    if problems:
        more = f"\n... and {len(problems) - _SHOWN} more." if len(problems) > _SHOWN else ""
        raise ValueError("\n".join(problems[:_SHOWN]) + more)
    if turned:
        warnings.warn(
            f"{turned[0]}: turned upright, as its EXIF orientation says; a mask of the upright "
            f"size must be upright too ({len(turned)} such images). The option exif=keep reads "
            "pixels as they are stored.",
            stacklevel=3,
        )
    return {split: [facts[example] for example in paths] for split, paths in splits.items()}


def other_channels(facts: Mapping[ExamplePaths, PairFacts]) -> list[FileError]:
    """An error for each image that has another number of channels than most."""
    counts = Counter(found.channels for found in facts.values())
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    return [
        FileError(
            "image_values",
            example.image,
            f"expected {usual} channels, as most images have. Found: {found.channels} "
            "(the option `bands` chooses)",
        )
        for example, found in facts.items()
        if found.channels != usual
    ]


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
    example: ExamplePaths,
    table: ClassTable,
    mask_format: str,
    reading: ImageReading,
    decode: Decoder,
) -> PairFacts:
    """Check one image and one mask, all of both.

    Raises:
        FileError: naming the file, what was expected and what was found.
    """
    header = read_header(example.image)
    check_pixels(header.height, header.width, example.image, reading.max_pixels)
    height, width = header.size(reading)
    check_image_size(example, (height, width))
    turns_mask = check_mask_size(example, header, reading)
    native, channels = _check_image(example.image, header, reading, decode)
    read_mask(example.mask, table, mask_format)
    return PairFacts(
        height,
        width,
        channels,
        1 if reading.exif == "keep" else header.orientation,
        int(native),
        int(_is_native_mask(example.mask, decode)),
        int(turns_mask),
    )


def _check_image(
    path: Path, header: Header, reading: ImageReading, decode: Decoder
) -> tuple[bool, int]:
    """Whether TensorFlow decodes an image, and how many channels it has."""
    if not (header.is_native and reading.is_plain and reading.channels in (None, 3)):
        return False, pixels_of(read_stored(path, reading.max_pixels), path, reading).shape[-1]
    content = path.read_bytes()
    check_chunks(content, path, header)
    image = decode(content)
    if image is not None and header.format in ("JPEG", "MPO"):
        with open_image(content, path) as opened:
            progressive = bool(opened.info.get("progressive"))
        if jpeg_is_short(content, image, progressive):
            image = None  # Decoding with Pillow words the error.
    if image is not None:
        return True, 3
    return False, pixels_of(decode_stored(content, path, reading.max_pixels), path, reading).shape[
        -1
    ]


def _is_native_mask(path: Path, decode: Decoder) -> bool:
    header = read_header(path)
    return header.format in ("PNG", "JPEG", "MPO") and decode(path.read_bytes()) is not None


def check_image_size(example: ExamplePaths, size: tuple[int, int]) -> None:
    """Raises `FileError` where an image is too small for the networks."""
    if min(size) < MIN_SIZE:
        raise FileError(
            "too_small",
            example.image,
            f"expected at least {MIN_SIZE} pixels a side. Found: {size[0]}x{size[1]} "
            "(height x width)",
        )


def check_mask_size(example: ExamplePaths, header: Header, reading: ImageReading) -> bool:
    """Whether the mask fits the stored pixels only, and so has to be turned with them.

    Raises:
        FileError: a mask of another size.
    """
    mask = read_header(example.mask)
    size, expected = (mask.height, mask.width), header.size(reading)
    if size == expected:
        return False
    if size == (header.height, header.width):
        return True
    hint = ""
    if header.orientation != 1 and reading.exif == "keep":
        hint = " The image's EXIF orientation is not applied (exif: keep)."
    raise FileError(
        "size_mismatch",
        example.mask,
        f"expected the size of its image {example.image.name}, "
        f"{expected[0]}x{expected[1]} (height x width). Found: {size[0]}x{size[1]}.{hint}",
    )
