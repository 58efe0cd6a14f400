"""PASCAL-Context: VOC 2010's images with 459 labels, of which the papers use 59."""

import os
from typing import ClassVar

import numpy as np
from etils import epath

from keras_ctxseg.data.builders.builder import (
    SegmentationBuilder,
    example,
    folder_of,
    load_prepared,
    read_mat,
    read_names,
)
from keras_ctxseg.data.builders.published import (
    PublishedDataset,
    contiguous_ids,
    names,
    voc_palette,
)
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

# In the order of their ids among the 459, as EncNet's code numbers them.
CLASS_NAMES = names("""
aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle, building, bus, cabinet,
car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog, door, fence, floor, flower, food,
grass, ground, horse, keyboard, light, motorbike, mountain, mouse, person, plate, platform,
pottedplant, road, rock, sheep, shelves, sidewalk, sign, sky, snow, sofa, table, track, train, tree,
truck, tvmonitor, wall, water, window, wood
""")
RAW_IDS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113),
    *(115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324),
    *(326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458),
)
LABELS = 459

_SPLITS = {"train": 4998, "val": 5105}
_PREPARED = {"train": ("train",), "val": ("validation",)}


def published(num_classes: int) -> PublishedDataset:
    """The facts of the variant with 59 classes, or with 60: `background` before the others.

    There are no official colours; these are VOC's by id, with 0 for the background.
    """
    background = num_classes == 60
    return PublishedDataset(
        name="pascal_context",
        title=f"PASCAL-Context, {num_classes} classes",
        class_names=("background", *CLASS_NAMES) if background else CLASS_NAMES,
        palette=voc_palette(60)[0 if background else 1 :],
        splits=_SPLITS,
        prepared_splits=_PREPARED,
        homepage="https://cs.stanford.edu/~roozbeh/pascal-context/",
        licence="Images are subject to Flickr's terms of use (VOC 2010); see the homepage.",
        citation="""@inproceedings{mottaghi2014role,
  title={The Role of Context for Object Detection and Semantic Segmentation in the Wild},
  author={Mottaghi, Roozbeh and Chen, Xianjie and Liu, Xiaobai and Cho, Nam-Gyu and Lee, Seong-Whan
    and Fidler, Sanja and Urtasun, Raquel and Yuille, Alan},
  booktitle={CVPR}, year={2014}}""",
        how_to_get="It is downloaded (1.4 GB); or unpack VOC 2010's trainval archive and "
        "PASCAL-Context's trainval.tar.gz yourself into one folder, with VOCdevkit/ and trainval/ "
        "in it, and give it as `source`.",
    )


PUBLISHED = published(59)


class PascalContext(SegmentationBuilder):
    """Prepared with 60 ids: 0 is the background (all other labels), 1 ... 59 the classes.

    The splits are VOC 2010's main lists, 4,998 and 5,105 images.
    """

    name = "pascal_context"
    PUBLISHED = published(60)
    URLS: ClassVar[dict[str, str]] = {
        "voc": "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
        "context": "https://cs.stanford.edu/~roozbeh/pascal-context/trainval.tar.gz",
    }

    def _split_generators(self, dl_manager):
        folders = self._folders(dl_manager)
        voc = folders["voc"] / "VOCdevkit" / "VOC2010"
        labels = folders["context"] / "trainval"
        lists = voc / "ImageSets" / "Main"
        return {
            "train": self._generate_examples(voc, labels, read_names(lists / "train.txt")),
            "validation": self._generate_examples(voc, labels, read_names(lists / "val.txt")),
        }

    def _generate_examples(self, voc: epath.Path, labels: epath.Path, image_names: list[str]):
        table = np.zeros(LABELS + 1, np.uint8)
        table[list(RAW_IDS)] = np.arange(1, len(RAW_IDS) + 1)
        for name in image_names:
            raw = read_mat(labels / f"{name}.mat")["LabelMap"]
            yield example(name, voc / "JPEGImages" / f"{name}.jpg", table[raw])


def load_pascal_context(
    *,
    data_dir: str | os.PathLike | None = None,
    source: str | os.PathLike | None = None,
    num_classes: int = 59,
) -> SegmentationDataset:
    """PASCAL-Context: splits `train` and `val`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        source: a folder with the unpacked archives, instead of a download.
        num_classes: 59, the background ignored, or 60, with the background as class 0.

    Raises:
        ValueError: another number of classes.
    """
    if num_classes not in (59, 60):
        raise ValueError(f"`num_classes`: expected 59 or 60. Received: {num_classes}")
    builder = PascalContext(source=source, data_dir=folder_of(data_dir))
    ids = contiguous_ids(60)
    if num_classes == 59:
        ids = {**{index: index - 1 for index in range(1, 60)}, 0: IGNORE_LABEL}
    return load_prepared(published(num_classes), builder, ids)
