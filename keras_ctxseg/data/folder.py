"""The `folder` data set: images and masks as files.

<path>/classes.json                     see `class_file`
<path>/<split>/images/<name>.jpg        JPEG, PNG, TIFF, WebP, BMP, GIF or .npy
<path>/<split>/labels/<name>.png        one mask for each image, of its size
"""

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.decoding import (
    decode_grey,
    decode_named,
    decode_rgb,
    decoded,
    grey_header,
    turn_upright,
)
from keras_ctxseg.data.folder_checks import (
    PairFacts,
    check_binary,
    check_examples,
    check_mask_format,
    image_reading,
    read_folder_classes,
)
from keras_ctxseg.data.folder_layout import ExamplePaths, find_splits
from keras_ctxseg.data.image_reading import Exif, ImageReading
from keras_ctxseg.data.images import read_image
from keras_ctxseg.data.masks import read_mask
from keras_ctxseg.data.raw_copies import raw_copies


def load_folder(
    *,
    path: str | os.PathLike,
    classes: str | os.PathLike | None = None,
    mask_format: str = "ids",
    exif: Exif | None = None,
    bands: tuple[int, ...] | None = None,
    range: Sequence[Any] | str | None = None,
    show: tuple[int, int, int] | None = None,
    max_pixels: int | None = None,
) -> SegmentationDataset:
    """Find, pair and check the files of a data set.

    Every image and every mask is checked. What was checked is remembered in the user's cache folder
    by path, size and time of change, so only the first start takes time.

    How images are read is said by the class file's key `images` or by options here, which win.

    Args:
        path: the folder that holds the splits' folders.
        classes: the class file; `<path>/classes.json` if not given.
        mask_format: how masks are written: `"ids"` (grey values), `"palette"` (a palette image's
            indices) or `"colors"` (through the class file's palette).
        exif: `"upright"` (the default) turns images as their EXIF orientation asks, `"keep"` leaves
            them as stored.
        bands: numbers of the bands to read, from 1; by default RGB, or all bands of other images.
        range: stored values that become 0 and 255: `[low, high]`, a list of such pairs, one for
            each band, or `"auto"`, which measures them on the training images. By default all of 8
            and 16 bits.
        show: three channels for pictures, from 1; by default the first three.
        max_pixels: images of more are refused.

    Raises:
        ValueError: whatever is wrong with the files, by name.
    """
    check_mask_format(mask_format)
    root = Path(path).expanduser()
    splits = find_splits(root)
    table = read_folder_classes(root, classes, mask_format)
    options = {"exif": exif, "bands": bands, "range": range, "show": show, "max_pixels": max_pixels}
    reading = image_reading(table, options, splits)
    facts = check_examples(root, splits, table, mask_format, reading, decoded)
    check_binary(splits.get("train", []), table, mask_format)
    channels = next((found.channels for some in facts.values() for found in some), 3)
    reading = dataclasses.replace(reading, channels=channels)
    return SegmentationDataset(
        name=root.resolve().name,
        class_names=table.class_names,
        palette=table.palette,
        splits={split: len(examples) for split, examples in splits.items()},
        open_split=lambda split: FileExamples(
            splits[split], facts[split], table, mask_format, reading
        ),
        reading=reading,
    )


class FileExamples:
    """Random access to pairs of files that were checked; see `ExampleReader`.

    Args:
        paths: the files.
        facts: what the check found, pair by pair.
        table: what the masks' ids or colours mean.
        mask_format: how they are written.
        reading: how images are read.
    """

    def __init__(
        self,
        paths: list[ExamplePaths],
        facts: list[PairFacts],
        table: ClassTable,
        mask_format: str,
        reading: ImageReading,
    ):
        self.sizes = np.array([found[:2] for found in facts], np.int64)
        self._mask_format = mask_format
        self._channels = reading.channels or 3
        pairs = list(zip(paths, facts, strict=True))
        images = {pair.image: pair.image for pair in paths}
        images |= _copies(
            [pair.image for pair, found in pairs if not found.native],
            lambda path: read_image(path, reading),
            f"image {reading.key} {reading.channels}",
        )
        masks = {pair.mask: pair.mask for pair in paths}
        masks |= _copies(
            [pair.mask for pair, found in pairs if not found.native_mask],
            lambda path: read_mask(path, table, mask_format),
            f"mask {mask_format} {table.text}",
        )
        self._is_native = _Flags([bool(found.native) for found in facts])
        self._is_native_mask = _Flags([bool(found.native_mask) for found in facts])
        self._is_turned = _Flags([found.orientation != 1 for found in facts])
        self._turns_mask = _Flags([bool(found.turns_mask) for found in facts])
        with tf.device("CPU"):
            self._names = tf.constant([_encoded(example.name) for example in paths])
            self._paths = tf.constant([_encoded(example.image) for example in paths])
            self._mask_paths = tf.constant([_encoded(example.mask) for example in paths])
            self._images = tf.constant([_encoded(images[example.image]) for example in paths])
            self._masks = tf.constant([_encoded(masks[example.mask]) for example in paths])
            self._orientations = tf.constant([found.orientation for found in facts])
            self._sizes = tf.constant(self.sizes)
            if mask_format == "palette":
                headers, starts = zip(
                    *(
                        grey_header(pair.mask) if found.native_mask else (b"", 0)
                        for pair, found in pairs
                    ),
                    strict=True,
                )
                self._headers, self._starts = tf.constant(headers), tf.constant(starts)
            ids = table.color_ids() if mask_format == "colors" else table.class_ids
            self._ids = tf.constant(ids)

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ExampleReader.read`."""
        image = tf.ensure_shape(self._read_image(index), (None, None, self._channels))
        label = tf.ensure_shape(tf.cast(self._read_mask(index), tf.int32), (None, None))
        return {"image": image, "label": label, "name": tf.gather(self._names, index)}

    def _read_image(self, index):
        contents = tf.io.read_file(tf.gather(self._images, index))

        def native():
            image = decode_named(decode_rgb, contents, tf.gather(self._paths, index))
            turn = functools.partial(turn_upright, image, tf.gather(self._orientations, index))
            return self._is_turned.choose(index, turn, lambda: image)

        def raw():
            shape = tf.concat([tf.gather(self._sizes, index), [self._channels]], 0)
            return tf.reshape(tf.io.decode_raw(contents, tf.uint8), shape)

        return self._is_native.choose(index, native, raw)

    def _read_mask(self, index):
        contents = tf.io.read_file(tf.gather(self._masks, index))
        orientation = tf.gather(self._orientations, index)
        # The grid of the mask, which may be the stored pixels'.
        height, width = tf.unstack(tf.gather(self._sizes, index))
        swapped = tf.logical_and(tf.gather(self._turns_mask.values, index), orientation > 4)
        size = tf.where(swapped, tf.stack([width, height]), tf.stack([height, width]))

        def native():
            return decode_named(
                lambda contents: self._decode_mask(contents, index),
                contents,
                tf.gather(self._mask_paths, index),
            )

        def raw():
            return tf.reshape(tf.cast(tf.io.decode_raw(contents, tf.uint8), tf.int16), size)

        label = self._is_native_mask.choose(index, native, raw)
        return self._turns_mask.choose(
            index,
            lambda: turn_upright(tf.ensure_shape(label[..., None], (None, None, 1)), orientation)[
                ..., 0
            ],
            lambda: label,
        )

    def _decode_mask(self, contents, index):
        if self._mask_format == "colors":
            rgb = tf.cast(decode_rgb(contents), tf.int32)
            return tf.gather(self._ids, tf.reduce_sum(rgb * [1 << 16, 1 << 8, 1], axis=-1))
        if self._mask_format == "palette":
            pixels = tf.strings.substr(contents, tf.gather(self._starts, index), 2**31 - 1)
            contents = tf.gather(self._headers, index) + pixels
        return tf.gather(self._ids, decode_grey(contents))


class _Flags:
    """A flag for each example, and a choice by it that costs nothing where all are alike."""

    def __init__(self, flags: list[bool]):
        self._all, self._none = all(flags), not any(flags)
        with tf.device("CPU"):
            self.values = tf.constant(flags, tf.bool)

    def choose(self, index, if_set, otherwise):
        if self._all:
            return if_set()
        if self._none:
            return otherwise()
        return tf.cond(tf.gather(self.values, index), if_set, otherwise)


def _copies(paths: list[Path], read, rules: str) -> dict[Path, Path]:
    targets = raw_copies(paths, read, rules, rules.split()[0] + "s")
    return dict(zip(paths, targets, strict=True))


def _encoded(path: str | os.PathLike) -> bytes:
    """A path as the system has it, even where it is not UTF-8."""
    return os.fsencode(path)
