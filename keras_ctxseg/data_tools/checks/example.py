"""Everything that one pair of files tells: its problems, its ids, its look."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.folder_checks import check_image_size, check_mask_size
from keras_ctxseg.data.folder_layout import ExamplePaths
from keras_ctxseg.data.image_reading import ImageReading, rgb_of, span
from keras_ctxseg.data.images import (
    FileError,
    Stored,
    check_pixels,
    open_image,
    pixels_of,
    read_header,
    read_stored,
    rgb_pixels,
)
from keras_ctxseg.data.masks import class_ids, is_jpeg, known_ids, read_raw_mask
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

THUMBNAIL = 16  # pixels a side; enough to tell photographs apart, 768 bytes each


@dataclasses.dataclass
class ExampleFacts:
    """What was found in one image and its mask.

    Attributes:
        split, example: which.
        errors: problems of the files.
        size: height and width of the image, None where it cannot be opened.
        thumbnail: uint8 `(16, 16, 3)`, None where the image cannot be read.
        turned: whether the image's EXIF data asks viewers to turn it.
        raw: pixels by raw id, or by packed RGB; empty where the mask cannot be read.
        pixels: int64 `(classes,)`, pixels by class.
        ignored: pixels that are declared void.
        lossy: whether the mask is a JPEG.
        channels: of the image as it is read, 0 where it cannot be.
        values: the stored values' type, smallest and largest, of the bands that are read.
        drops_alpha: whether transparency that says something is not read.
        moments: float64 `(3, channels)`, pixels, sum and sum of squares of each channel.
    """

    split: str
    example: ExamplePaths
    errors: list[FileError]
    size: tuple[int, int] | None = None
    thumbnail: np.ndarray | None = None
    turned: bool = False
    raw: dict[int, int] = dataclasses.field(default_factory=dict)
    pixels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    ignored: int = 0
    lossy: bool = False
    channels: int = 0
    values: tuple[str, float, float] | None = None
    drops_alpha: bool = False
    moments: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((3, 0)))


def examine(
    split: str,
    example: ExamplePaths,
    table: ClassTable | None,
    mask_format: str,
    reading: ImageReading,
) -> ExampleFacts:
    """Open one image and one mask, decode both, and go on after the first problem.

    Args:
        split: the pair's split.
        example: its files.
        table: the declared classes; without them ids are counted, not judged.
        mask_format: as `load_folder`'s.
        reading: how images are read.
    """
    facts = ExampleFacts(split, example, [])
    try:
        _examine_image(facts, reading)
    except FileError as error:
        facts.errors.append(error)
    try:
        _examine_mask(facts, table, mask_format)
    except FileError as error:
        facts.errors.append(error)
    return facts


def value_counts(values: np.ndarray) -> dict[int, int]:
    """How often each value of an integer array occurs; fast where equal values stand in runs."""
    flat = values.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat.astype(np.int64))) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    present, places = np.unique(flat[starts], return_inverse=True)
    counts = np.bincount(places, weights=lengths).astype(np.int64)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


def _examine_image(facts: ExampleFacts, reading: ImageReading) -> None:
    path = facts.example.image
    header = read_header(path)
    facts.size = header.size(reading)
    facts.turned = header.orientation != 1
    check_pixels(header.height, header.width, path, reading.max_pixels)
    for check in (
        lambda: check_image_size(facts.example, header.size(reading)),
        lambda: check_mask_size(facts.example, header, reading),
    ):
        try:
            check()
        except FileError as error:
            # An unreadable mask is told when it is read.
            if error.code in ("too_small", "size_mismatch"):
                facts.errors.append(error)
    stored = read_stored(path, reading.max_pixels)
    _measure(facts, stored, reading)
    pixels = pixels_of(stored, path, reading)
    facts.channels = pixels.shape[-1]
    levels = np.arange(256.0)
    counts = np.stack(
        [np.bincount(pixels[..., k].ravel(), minlength=256) for k in range(facts.channels)]
    )
    facts.moments = np.stack([counts.sum(axis=1), counts @ levels, counts @ levels**2])
    small = Image.fromarray(rgb_of(pixels)).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    facts.thumbnail = np.asarray(small)


def _measure(facts: ExampleFacts, stored: Stored, reading: ImageReading) -> None:
    try:
        chosen = reading.chosen(stored.values, stored.has_alpha)
    except ValueError:
        return  # Told when pixels are made of it.
    facts.values = (str(chosen.dtype), *span(chosen))
    facts.drops_alpha = reading.bands is None and stored.drops_alpha


def _examine_mask(facts: ExampleFacts, table: ClassTable | None, mask_format: str) -> None:
    path = facts.example.mask
    raw = read_raw_mask(path, mask_format)
    facts.lossy = is_jpeg(path)
    facts.raw = value_counts(raw)
    if table is None:
        return
    values, counts = (np.array(list(part)) for part in (facts.raw.keys(), facts.raw.values()))
    ids = known_ids(values, table, mask_format)
    declared = (ids >= 0) & (ids != IGNORE_LABEL)
    classes = len(table.class_names)
    facts.pixels = np.bincount(ids[declared], counts[declared], classes).astype(np.int64)
    facts.ignored = int(counts[ids == IGNORE_LABEL].sum())
    if ids.min() < 0:
        class_ids(raw, table, path, mask_format)  # raises, and says where


def mask_kind(path: Path) -> str:
    """`"palette"`; `"grey"`, where all channels are equal; `"colors"` otherwise."""
    try:
        with open_image(path) as image:
            if image.mode == "P":
                return "palette"
            rgb = rgb_pixels(image)
    except (FileError, OSError):
        return "colors"
    return "grey" if np.ptp(rgb, axis=-1).max() == 0 else "colors"
