"""PASCAL VOC 2012 and SBD, as their archives unpack."""

from pathlib import Path

import numpy as np

from keras_ctxseg.data.builders.published import voc_palette
from keras_ctxseg.data.dummy.files import write_lines, write_mat
from keras_ctxseg.data.dummy.pictures import Pictures

_IDS = [*range(21), 255]


def write_pascal_voc_2012(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images in VOC's train list, `count` in val, and `count` in SBD alone.

    As in the real ones, SBD lists images of VOC's train and val sets too.
    """
    voc = root / "VOCdevkit" / "VOC2012"
    names = {
        "train": [f"2007_{index:06d}" for index in range(count)],
        "val": [f"2008_{index:06d}" for index in range(count)],
    }
    for split, of_split in names.items():
        write_lines(voc / "ImageSets" / "Segmentation" / f"{split}.txt", of_split)
        for name in of_split:
            pictures.image(voc / "JPEGImages" / f"{name}.jpg")
            pictures.ids(voc / "SegmentationClass" / f"{name}.png", _IDS, voc_palette(256))
    own = [f"2010_{index:06d}" for index in range(count)]
    sbd = root / "benchmark_RELEASE" / "dataset"
    write_lines(sbd / "train.txt", own[:1] + names["train"][:1])
    write_lines(sbd / "val.txt", own[1:] + names["val"][:1])
    for name in [*own, names["train"][0], names["val"][0]]:
        pictures.image(sbd / "img" / f"{name}.jpg")
        label = pictures.blocks(np.arange(21, dtype=np.uint8))
        write_mat(sbd / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": label}})
