"""The `folder` data set: images and masks as files.

<path>/classes.json                     see `class_file`
<path>/<split>/images/<name>.jpg        .jpg, .jpeg or .png
<path>/<split>/labels/<name>.png        one mask for each image, of its size
"""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.decoding import decode_grey, decode_rgb, grey_header
from keras_ctxseg.data.folder_checks import (
    check_binary,
    check_examples,
    check_mask_format,
    read_folder_classes,
)
from keras_ctxseg.data.folder_layout import ExamplePaths, find_splits


def load_folder(
    *,
    path: str | os.PathLike,
    classes: str | os.PathLike | None = None,
    mask_format: str = "ids",
) -> SegmentationDataset:
    """Find, pair and check the files of a data set.

    Every file's header is checked and every mask's ids are. What was checked is remembered in the
    user's cache folder by path, size and time of change, so only the first start takes time.

    Args:
        path: the folder that holds the splits' folders.
        classes: the class file; `<path>/classes.json` if not given.
        mask_format: how masks are written: `"ids"` (grey values), `"palette"` (a palette image's
            indices) or `"colors"` (through the class file's palette).

    Raises:
        ValueError: whatever is wrong with the files, by name.
    """
    check_mask_format(mask_format)
    root = Path(path).expanduser()
    splits = find_splits(root)
    table = read_folder_classes(root, classes, mask_format)
    sizes = check_examples(root, splits, table, mask_format)
    check_binary(splits.get("train", []), table, mask_format)
    return SegmentationDataset(
        name=root.resolve().name,
        class_names=table.class_names,
        palette=table.palette,
        splits={split: len(examples) for split, examples in splits.items()},
        open_split=lambda split: FileExamples(splits[split], sizes[split], table, mask_format),
    )


class FileExamples:
    """Random access to pairs of files that were checked; see `ExampleReader`."""

    def __init__(
        self, paths: list[ExamplePaths], sizes: np.ndarray, table: ClassTable, mask_format: str
    ):
        self.sizes = sizes
        self._mask_format = mask_format
        with tf.device("CPU"):
            self._names = tf.constant([example.name for example in paths])
            self._images = tf.constant([str(example.image) for example in paths])
            self._masks = tf.constant([str(example.mask) for example in paths])
            if mask_format == "palette":
                headers, starts = zip(
                    *(grey_header(example.mask) for example in paths), strict=True
                )
                self._headers, self._starts = tf.constant(headers), tf.constant(starts)
            ids = table.color_ids() if mask_format == "colors" else table.class_ids
            self._ids = tf.constant(ids)

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ExampleReader.read`."""
        image = decode_rgb(tf.io.read_file(tf.gather(self._images, index)))
        label = self._decode_mask(tf.io.read_file(tf.gather(self._masks, index)), index)
        return {
            "image": tf.ensure_shape(image, (None, None, 3)),
            "label": tf.ensure_shape(tf.cast(label, tf.int32), (None, None)),
            "name": tf.gather(self._names, index),
        }

    def _decode_mask(self, contents, index):
        if self._mask_format == "colors":
            rgb = tf.cast(decode_rgb(contents), tf.int32)
            return tf.gather(self._ids, tf.reduce_sum(rgb * [1 << 16, 1 << 8, 1], axis=-1))
        if self._mask_format == "palette":
            pixels = tf.strings.substr(contents, tf.gather(self._starts, index), 2**31 - 1)
            contents = tf.gather(self._headers, index) + pixels
        return tf.gather(self._ids, decode_grey(contents))
