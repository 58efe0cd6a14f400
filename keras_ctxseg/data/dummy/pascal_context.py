"""PASCAL-Context's label files and the part of VOC 2010 that they belong to."""

from pathlib import Path

import numpy as np

from keras_ctxseg.data.builders.pascal_context import LABELS, RAW_IDS
from keras_ctxseg.data.dummy.files import write_lines, write_mat
from keras_ctxseg.data.dummy.pictures import Pictures

_OTHERS = (0, 1, 100, LABELS)  # labels that are none of the 59 classes


def write_pascal_context(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images in each of train and val."""
    voc = root / "VOCdevkit" / "VOC2010"
    for split, year in (("train", 2008), ("val", 2009)):
        names = [f"{year}_{index:06d}" for index in range(count)]
        write_lines(voc / "ImageSets" / "Main" / f"{split}.txt", names)
        for name in names:
            pictures.image(voc / "JPEGImages" / f"{name}.jpg")
            label = pictures.blocks(np.array([*RAW_IDS, *_OTHERS], np.uint16))
            write_mat(root / "trainval" / f"{name}.mat", {"LabelMap": label})
