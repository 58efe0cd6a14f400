"""ADE20K as the scene parsing challenge of 2016 has it: 150 classes."""

import os
from typing import ClassVar

import numpy as np
from etils import epath

from keras_ctxseg.data.builders.ade20k_classes import CLASS_NAMES, PALETTE
from keras_ctxseg.data.builders.builder import (
    SegmentationBuilder,
    example,
    folder_of,
    load_prepared,
    paired,
    read_ids,
)
from keras_ctxseg.data.builders.published import PublishedDataset, contiguous_ids
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.palettes import IGNORE_LABEL

PUBLISHED = PublishedDataset(
    name="ade20k",
    title="ADE20K, scene parsing challenge 2016",
    class_names=CLASS_NAMES,
    palette=PALETTE,
    splits={"train": 20210, "val": 2000},
    prepared_splits={"train": ("train",), "val": ("validation",)},
    homepage="http://sceneparsing.csail.mit.edu",
    licence="Images for non-commercial research, annotations under BSD-3; see the homepage.",
    citation="""@inproceedings{zhou2017scene,
  title={Scene Parsing through {ADE20K} Dataset},
  author={Zhou, Bolei and Zhao, Hang and Puig, Xavier and Fidler, Sanja and Barriuso, Adela and
    Torralba, Antonio},
  booktitle={CVPR}, year={2017}}""",
    how_to_get="It is downloaded (0.9 GB); or unpack ADEChallengeData2016.zip yourself and give "
    "the folder that holds ADEChallengeData2016/ as `source`.",
)


class Ade20k(SegmentationBuilder):
    """Stored id 0 ("other objects") is ignored, stored ids 1 ... 150 are the classes 0 ... 149."""

    name = "ade20k"
    PUBLISHED = PUBLISHED
    URLS: ClassVar[dict[str, str]] = {
        "ade": "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    }

    def _split_generators(self, dl_manager):
        root = self._folders(dl_manager)["ade"] / "ADEChallengeData2016"
        return {
            split: self._generate_examples(root / "images" / folder, root / "annotations" / folder)
            for split, folder in (("train", "training"), ("validation", "validation"))
        }

    def _generate_examples(self, images: epath.Path, labels: epath.Path):
        for name, image, label in paired(images, labels):
            ids = read_ids(label).astype(np.int16) - 1
            yield example(name, image, np.where(ids < 0, IGNORE_LABEL, ids))


def load_ade20k(
    *, data_dir: str | os.PathLike | None = None, source: str | os.PathLike | None = None
) -> SegmentationDataset:
    """ADE20K: splits `train` and `val`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        source: a folder with the unpacked archive, instead of a download.
    """
    builder = Ade20k(source=source, data_dir=folder_of(data_dir))
    return load_prepared(PUBLISHED, builder, contiguous_ids(len(CLASS_NAMES)))
