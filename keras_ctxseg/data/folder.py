"""The `folder` data set: images and masks as files.

<path>/classes.json                     see `class_file`
<path>/<split>/images/<name>.jpg        .jpg, .jpeg or .png
<path>/<split>/labels/<name>.png        one mask for each image, of its size
"""

import dataclasses
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.class_file import ClassTable, read_class_file
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.folder_checks import check_examples
from keras_ctxseg.data.folder_layout import ExamplePaths, find_splits
from keras_ctxseg.data.images import read_image
from keras_ctxseg.data.masks import MASK_FORMATS, read_mask


def load_folder(
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
    if mask_format not in MASK_FORMATS:
        raise ValueError(
            f"`mask_format`: expected one of {', '.join(MASK_FORMATS)}. Received: {mask_format!r}"
        )
    root = Path(path).expanduser()
    splits = find_splits(root)
    class_file = Path(classes).expanduser() if classes else root / "classes.json"
    table = read_class_file(class_file)
    if mask_format == "colors" and not table.colors:
        raise ValueError(
            f"{class_file}: mask_format='colors' needs the key `palette`. Found: no such key"
        )
    sizes = check_examples(root, splits, table, mask_format)
    return SegmentationDataset(
        name=root.resolve().name,
        class_names=table.class_names,
        palette=table.palette,
        splits={split: len(examples) for split, examples in splits.items()},
        open_split=lambda split: FileExamples(splits[split], sizes[split], table, mask_format),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class FileExamples:
    """Random access to pairs of files; see `ExampleReader`."""

    paths: list[ExamplePaths]
    sizes: np.ndarray
    table: ClassTable
    mask_format: str

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ExampleReader.read`."""
        image, label = tf.numpy_function(
            self._read, [index], (tf.uint8, tf.uint8), stateful=False, name="read_files"
        )
        return {
            "image": tf.ensure_shape(image, (None, None, 3)),
            "label": tf.cast(tf.ensure_shape(label, (None, None)), tf.int32),
            "name": tf.gather(tf.constant([example.name for example in self.paths]), index),
        }

    def _read(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        example = self.paths[int(index)]
        return read_image(example.image), read_mask(example.mask, self.table, self.mask_format)
