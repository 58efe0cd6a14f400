"""Oxford-IIIT Pet's trimaps, through TFDS's own builder."""

import dataclasses
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_ctxseg.data.builders.builder import folder_of, load_prepared
from keras_ctxseg.data.builders.published import PublishedDataset
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

PUBLISHED = PublishedDataset(
    name="oxford_iiit_pet",
    title="Oxford-IIIT Pet",
    class_names=("pet", "background", "border"),
    palette=np.array([(128, 0, 0), (0, 0, 64), (192, 192, 128)], np.uint8),
    splits={"train": 3680, "test": 3669},
    prepared_splits={"train": ("train",), "test": ("test",)},
    homepage="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    licence="CC BY-SA 4.0; images keep their owners' copyright.",
    citation="""@inproceedings{parkhi2012cats,
  title={Cats and Dogs},
  author={Parkhi, Omkar M. and Vedaldi, Andrea and Zisserman, Andrew and Jawahar, C. V.},
  booktitle={CVPR}, year={2012}}""",
    how_to_get="It is downloaded by TensorFlow Datasets (0.8 GB).",
)


def load_oxford_iiit_pet(
    *, data_dir: str | os.PathLike | None = None, ignore_border: bool = False
) -> SegmentationDataset:
    """Oxford-IIIT Pet: splits `train` (the authors' trainval list) and `test`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        ignore_border: whether the border of pets is ignored, rather than a class of its own.
    """
    facts, border = PUBLISHED, 2
    if ignore_border:
        facts = dataclasses.replace(
            facts, class_names=facts.class_names[:2], palette=facts.palette[:2]
        )
        border = IGNORE_LABEL
    builder = tfds.builder("oxford_iiit_pet", data_dir=folder_of(data_dir))
    return load_prepared(
        facts,
        builder,
        {1: 0, 2: 1, 3: border},
        ("image", "segmentation_mask", "file_name"),
        rename=lambda name: tf.strings.regex_replace(name, r"\.jpg$", ""),
    )
