"""COCO 2017 panoptic: 80 things and 53 kinds of stuff, without overlap."""

import json
import os
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from keras_ctxseg.data.builders.builder import (
    PanopticRecords,
    SegmentationBuilder,
    example,
    folder_of,
    inside,
    load_prepared,
    read_ids,
)
from keras_ctxseg.data.builders.coco_classes import (
    NUM_THINGS,
    PANOPTIC_IDS,
    PANOPTIC_NAMES,
    PANOPTIC_PALETTE,
)
from keras_ctxseg.data.builders.published import PublishedDataset, contiguous_ids
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.decoding import decode_rgb
from keras_ctxseg.data.panoptic import from_segments
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

PUBLISHED = PublishedDataset(
    name="coco_panoptic",
    title="COCO 2017 panoptic",
    class_names=PANOPTIC_NAMES,
    palette=PANOPTIC_PALETTE,
    splits={"train": 118287, "val": 5000},
    prepared_splits={"train": ("train",), "val": ("validation",)},
    homepage="https://cocodataset.org/#panoptic-2018",
    licence="Annotations under CC BY 4.0; images are subject to Flickr's terms of use.",
    citation="""@inproceedings{kirillov2019panoptic,
  title={Panoptic Segmentation},
  author={Kirillov, Alexander and He, Kaiming and Girshick, Ross and Rother, Carsten and
    Doll{\\'a}r, Piotr},
  booktitle={CVPR}, year={2019}}""",
    how_to_get="It is downloaded (21 GB); or unpack train2017.zip, val2017.zip and "
    "panoptic_annotations_trainval2017.zip yourself into one folder, with train2017/, val2017/ and "
    "annotations/ in it, and give it as `source`.",
    thing_classes=tuple(range(NUM_THINGS)),
)


class CocoPanoptic(SegmentationBuilder):
    """Beside `label` the records keep what panoptic training needs.

    `panoptic` is the published PNG: the segment's id is red + 256 green + 65,536 blue, 0 is
    unlabelled. `segments` lists `id`, `category` (class 0 ... 132) and `is_crowd`. `label` holds
    the category of every segment, crowds included; unlabelled pixels are ignored.
    """

    name = "coco_panoptic"
    PUBLISHED = PUBLISHED
    URLS: ClassVar[dict[str, str]] = {
        "train2017": "http://images.cocodataset.org/zips/train2017.zip",
        "val2017": "http://images.cocodataset.org/zips/val2017.zip",
        "annotations": "http://images.cocodataset.org/annotations/"
        "panoptic_annotations_trainval2017.zip",
    }

    def _features(self) -> dict[str, Any]:
        return {
            **super()._features(),
            "panoptic": tfds.features.Image(encoding_format="png"),
            "segments": tfds.features.Sequence(
                {"id": np.int64, "category": np.int64, "is_crowd": np.bool_}
            ),
        }

    def _split_generators(self, dl_manager):
        folders = self._folders(dl_manager)
        splits = {}
        for split, year in (("train", "train2017"), ("validation", "val2017")):
            annotations = folders["annotations"] / "annotations"
            maps = annotations / f"panoptic_{year}"
            if not maps.exists():  # an archive inside the archive
                maps = epath.Path(dl_manager.extract(annotations / f"panoptic_{year}.zip"))
                maps = inside(maps, "", f"panoptic_{year}")
            splits[split] = self._generate_examples(
                inside(folders[year], "images", year),
                maps,
                annotations / f"panoptic_{year}.json",
            )
        return splits

    def _generate_examples(self, images: epath.Path, maps: epath.Path, file: epath.Path):
        content = json.loads(file.read_text())
        classes = {category: index for index, category in enumerate(PANOPTIC_IDS)}
        image_files = {image["id"]: image["file_name"] for image in content["images"]}
        for annotation in sorted(content["annotations"], key=lambda entry: entry["file_name"]):
            panoptic = read_ids(maps / annotation["file_name"])
            segments = [
                {
                    "id": segment["id"],
                    "category": classes[segment["category_id"]],
                    "is_crowd": bool(segment["iscrowd"]),
                }
                for segment in annotation["segments_info"]
            ]
            image = images / image_files[annotation["image_id"]]
            yield example(
                image.stem,
                image,
                semantic_label(panoptic, {entry["id"]: entry["category"] for entry in segments}),
                panoptic=panoptic,
                segments=segments,
            )


def semantic_label(panoptic: np.ndarray, categories: dict[int, int]) -> np.ndarray:
    """Class ids from a panoptic image.

    Args:
        panoptic: uint8 `(height, width, 3)`, COCO's panoptic PNG.
        categories: segment id -> class; pixels of other segments get the ignore label.

    Returns:
        uint8 `(height, width)`.
    """
    pixels = panoptic.astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
    present, places = np.unique(pixels, return_inverse=True)
    classes = np.array([categories.get(int(segment), IGNORE_LABEL) for segment in present])
    return classes.astype(np.uint8)[places].reshape(pixels.shape)


def load_coco_panoptic(
    *,
    data_dir: str | os.PathLike | None = None,
    source: str | os.PathLike | None = None,
    panoptic: bool = False,
) -> SegmentationDataset:
    """COCO panoptic, 133 classes: splits `train` and `val`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        source: a folder with the unpacked archives, instead of a download.
        panoptic: labels tell the objects of the 80 thing classes apart too.
    """
    builder = CocoPanoptic(source=source, data_dir=folder_of(data_dir))
    ids = contiguous_ids(len(PANOPTIC_NAMES))
    if not panoptic:
        return load_prepared(PUBLISHED, builder, ids)
    records = PanopticRecords(PUBLISHED.thing_classes, _panoptic_label, ("segments",))
    return load_prepared(PUBLISHED, builder, ids, ("image", "panoptic", "name"), panoptic=records)


def _panoptic_label(parts: dict) -> tf.Tensor:
    colors = tf.cast(decode_rgb(parts["label"]), tf.int32)
    segments = parts["segments"]
    return from_segments(
        tf.reduce_sum(colors * [1, 1 << 8, 1 << 16], axis=-1),
        tf.cast(segments["id"], tf.int32),
        tf.cast(segments["category"], tf.int32),
        segments["is_crowd"],
        PUBLISHED.thing_classes,
        IGNORE_LABEL,
    )
