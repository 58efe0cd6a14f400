"""tf-models' TFRecord format for segmentation, read and written.

A record is a `tf.train.Example` with the keys of `official.vision.dataloaders.segmentation_input`:

    image/encoded                        a JPEG or PNG file
    image/height, image/width            integers
    image/segmentation/class/encoded     a PNG of class ids, 255 ignored

and, beside what that decoder reads, `image/format`, `image/filename`, `image/source_id` and
`image/segmentation/class/format`, as tf-models' own conversion tools write them.
"""

import glob
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from keras_ctxseg.data.builders.published import class_id_table, contiguous_ids
from keras_ctxseg.data.class_file import read_class_file
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.folder_layout import split_names, split_of
from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.data.readers import RecordExamples
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

IMAGE, LABEL = "image/encoded", "image/segmentation/class/encoded"
_NAME, _FILE = "image/source_id", "image/filename"
_SPLITS = ("train", "val", "validation", "test", "trainval", "training", "valid")
_FORMATS = ("png", "jpeg")
_JPEG_QUALITY = 95


def load_tfrecord(
    *,
    pattern: str | os.PathLike | Mapping[str, str],
    classes: str | os.PathLike | None = None,
    num_classes: int | None = None,
    ignore_label: int = IGNORE_LABEL,
) -> SegmentationDataset:
    """Read a data set that tf-models' tools, or `write_tfrecords`, prepared.

    Args:
        pattern: the files of each split, `{"train": "data/train-*", "val": "data/val-*"}`, or one
            pattern with `{split}` in it, `"data/{split}-*"`, for those of train, val, validation,
            valid, test and trainval that have files. `validation` and `valid` are the split `val`.
        classes: a class file as the `folder` data set has it, with names, colours and, if ids have
            to change, a label map.
        num_classes: instead of a class file, how many classes there are; their names are their ids.
        ignore_label: with `num_classes`, the stored id of pixels to ignore.

    Raises:
        ValueError: no files, none or both of `classes` and `num_classes`, a file that is no
            uncompressed TFRecord file, or a record that cannot be trained on, by file and number.
    """
    if (classes is None) == (num_classes is None):
        raise ValueError("expected one of `classes` (a class file) and `num_classes`")
    files = _find_files(pattern)
    if classes is not None:
        table = read_class_file(Path(classes).expanduser())
        names, palette, ids = table.class_names, table.palette, table.class_ids
    else:
        names = tuple(str(index) for index in range(num_classes or 0))
        palette = default_palette(len(names))
        ids = class_id_table({**contiguous_ids(len(names)), ignore_label: IGNORE_LABEL})
    readers = {
        split: RecordExamples(paths, _parse, ids, split, check=True)
        for split, paths in files.items()
    }
    return SegmentationDataset(
        name=os.path.basename(os.path.dirname(os.path.abspath(next(iter(files.values()))[0]))),
        class_names=names,
        palette=palette,
        splits={split: len(reader) for split, reader in readers.items()},
        open_split=readers.__getitem__,
    )


def write_tfrecords(
    dataset: SegmentationDataset,
    split: str,
    directory: str | os.PathLike,
    shards: int = 1,
    image_format: str = "png",
) -> list[Path]:
    """Write a split as `<directory>/<split>-00000-of-00001.tfrecord` and so on.

    A file has its name only once it is complete.

    Args:
        dataset, split: what to write.
        directory: where to; it is made.
        shards: number of files.
        image_format: `"png"`, which loses nothing, or `"jpeg"` of quality 95.

    Returns:
        The files.

    Raises:
        ValueError: fewer than 1 shard, or another format.
    """
    if dataset.channels != 3:
        raise ValueError(
            f"`dataset`: expected RGB images, which records hold. Received: {dataset.name}, with "
            f"{dataset.channels} channels"
        )
    if shards < 1:
        raise ValueError(f"`shards`: expected 1 or more. Received: {shards}")
    if image_format not in _FORMATS:
        raise ValueError(
            f"`image_format`: expected one of {', '.join(_FORMATS)}. Received: {image_format!r}"
        )
    examples = dataset.examples(split).map(lambda example: _encode(example, image_format))
    total = dataset.splits[split]
    bounds = np.linspace(0, total, shards + 1).round().astype(int)
    Path(directory).mkdir(parents=True, exist_ok=True)
    written = []
    with tqdm(total=total, desc=f"Writing {split}", delay=1.0, leave=False) as progress:
        for shard in range(shards):
            path = Path(directory) / f"{split}-{shard:05d}-of-{shards:05d}.tfrecord"
            partial = path.with_suffix(".partial")
            part = examples.skip(bounds[shard]).take(bounds[shard + 1] - bounds[shard])
            with tf.io.TFRecordWriter(str(partial)) as writer:
                for example in part.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
                    writer.write(_example(example, image_format))
                    progress.update()
            os.replace(partial, path)
            written.append(path)
    return written


def write_classes(dataset: SegmentationDataset, directory: str | os.PathLike) -> Path:
    """Write the class file that `load_tfrecord` takes beside the records: `classes.json`.

    Colours are left out where two classes share one, which a class file may not have.
    """
    content: dict = {"classes": list(dataset.class_names), "void": IGNORE_LABEL}
    colors = dataset.palette.tolist()
    if len({tuple(color) for color in colors}) == len(colors):
        content["palette"] = colors
    path = Path(directory) / "classes.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def _find_files(pattern: str | os.PathLike | Mapping[str, str]) -> dict[str, list[str]]:
    if not isinstance(pattern, Mapping):
        pattern = os.fspath(pattern)
    if isinstance(pattern, str) and "{split}" not in pattern:
        raise ValueError(
            "`pattern`: expected one with {split} in it, as in 'data/{split}-*.tfrecord', or a "
            f"pattern for each split. Received: {pattern!r}"
        )
    found: dict[str, list[str]] = {}
    if isinstance(pattern, str):
        patterns = {split: pattern.replace("{split}", split) for split in _SPLITS}
    else:
        patterns = dict(pattern)
    for split, text in patterns.items():
        files = sorted(glob.glob(os.path.expanduser(text)))
        meant = split_of(split)
        if isinstance(pattern, str) and split != meant and set(files) <= set(found.get(meant, [])):
            continue  # "val*" finds "validation-..." too
        if files:
            found[split] = files
        elif not isinstance(pattern, str):
            raise ValueError(f"`pattern`: no file matches {text!r}, split {split!r}")
    if not found:
        raise ValueError(f"`pattern`: no file matches {pattern!r} with any of {', '.join(_SPLITS)}")
    names = split_names(found)
    return {names[split]: files for split, files in found.items()}


def _parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
    required = tf.io.FixedLenFeature((), tf.string)
    optional = tf.io.FixedLenFeature((), tf.string, default_value="")
    parts = tf.io.parse_single_example(
        record, {IMAGE: required, LABEL: required, _NAME: optional, _FILE: optional}
    )
    name = tf.where(parts[_NAME] == "", parts[_FILE], parts[_NAME])
    return {"image": parts[IMAGE], "label": parts[LABEL], "name": name}


def _encode(example: dict[str, tf.Tensor], image_format: str) -> dict[str, tf.Tensor]:
    image = example["image"]
    if image_format == "png":
        encoded = tf.io.encode_png(image)
    else:
        encoded = tf.io.encode_jpeg(image, quality=_JPEG_QUALITY)
    label = tf.io.encode_png(tf.cast(example["label"], tf.uint8)[..., None])
    return {
        "image": encoded,
        "label": label,
        "size": tf.shape(image)[:2],
        "name": example["name"],
    }


def _example(example: dict[str, np.ndarray], image_format: str) -> bytes:
    texts = {
        IMAGE: example["image"],
        "image/format": image_format.encode(),
        _FILE: example["name"],
        _NAME: example["name"],
        LABEL: example["label"],
        "image/segmentation/class/format": b"png",
    }
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
        for key, text in texts.items()
    }
    for key, length in zip(("image/height", "image/width"), example["size"], strict=True):
        features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(length)]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
