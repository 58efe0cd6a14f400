"""COCO-Stuff: things and stuff on all of COCO 2017, 171 classes."""

import os
from typing import ClassVar

import numpy as np
from etils import epath

from keras_ctxseg.data.builders.builder import (
    SegmentationBuilder,
    example,
    folder_of,
    inside,
    load_prepared,
    paired,
    read_ids,
)
from keras_ctxseg.data.builders.coco_classes import STUFF_IDS, STUFF_NAMES
from keras_ctxseg.data.builders.published import PublishedDataset, contiguous_ids, voc_palette
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

PUBLISHED = PublishedDataset(
    name="coco_stuff",
    title="COCO-Stuff, all of COCO 2017",
    class_names=STUFF_NAMES,
    palette=voc_palette(256)[list(STUFF_IDS)],  # no official colours; VOC's by category id
    splits={"train": 118287, "val": 5000},
    prepared_splits={"train": ("train",), "val": ("validation",)},
    homepage="https://github.com/nightrome/cocostuff",
    licence="Annotations under CC BY 4.0; images are subject to Flickr's terms of use.",
    citation="""@inproceedings{caesar2018coco,
  title={{COCO-Stuff}: Thing and Stuff Classes in Context},
  author={Caesar, Holger and Uijlings, Jasper and Ferrari, Vittorio},
  booktitle={CVPR}, year={2018}}""",
    how_to_get="It is downloaded (20 GB); or unpack train2017.zip, val2017.zip and "
    "stuffthingmaps_trainval2017.zip yourself, the first two into images/, the third into "
    "annotations/, and give the folder that holds both as `source`.",
)


def class_ids() -> dict[int, int]:
    """Stored value (category id minus 1, or 255) -> class 0 ... 170, or the ignore label."""
    return {**{raw - 1: index for index, raw in enumerate(STUFF_IDS)}, 255: IGNORE_LABEL}


class CocoStuff(SegmentationBuilder):
    """The label images of `stuffthingmaps` hold the category id minus 1; 255 is unlabelled."""

    name = "coco_stuff"
    PUBLISHED = PUBLISHED
    URLS: ClassVar[dict[str, str]] = {
        "train2017": "http://images.cocodataset.org/zips/train2017.zip",
        "val2017": "http://images.cocodataset.org/zips/val2017.zip",
        "maps": "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/"
        "stuffthingmaps_trainval2017.zip",
    }

    def _split_generators(self, dl_manager):
        folders = self._folders(dl_manager)
        return {
            split: self._generate_examples(
                inside(folders[year], "images", year), inside(folders["maps"], "annotations", year)
            )
            for split, year in (("train", "train2017"), ("validation", "val2017"))
        }

    def _generate_examples(self, images: epath.Path, labels: epath.Path):
        table = np.full(256, IGNORE_LABEL, np.uint8)
        table[list(class_ids())] = list(class_ids().values())
        for name, image, label in paired(images, labels):
            yield example(name, image, table[read_ids(label)])


def load_coco_stuff(
    *, data_dir: str | os.PathLike | None = None, source: str | os.PathLike | None = None
) -> SegmentationDataset:
    """COCO-Stuff: splits `train` and `val`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        source: a folder with the unpacked archives, instead of a download:
            `images/train2017`, `images/val2017`, `annotations/train2017`, `annotations/val2017`.
    """
    builder = CocoStuff(source=source, data_dir=folder_of(data_dir))
    return load_prepared(PUBLISHED, builder, contiguous_ids(len(STUFF_NAMES)))
