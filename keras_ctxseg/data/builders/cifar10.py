"""CIFAR-10, through TFDS's own builder, for EncNet's classifier."""

import os

import numpy as np
import tensorflow_datasets as tfds

from keras_ctxseg.data.builders.builder import folder_of, prepare
from keras_ctxseg.data.builders.published import PublishedDataset, names
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.data.readers import PackedExamples

CLASS_NAMES = names("airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck")

PUBLISHED = PublishedDataset(
    name="cifar10",
    title="CIFAR-10",
    class_names=CLASS_NAMES,
    palette=default_palette(len(CLASS_NAMES)),
    splits={"train": 50000, "test": 10000},
    prepared_splits={"train": ("train",), "test": ("test",)},
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="The homepage states none.",
    citation="""@techreport{krizhevsky2009learning,
  title={Learning Multiple Layers of Features from Tiny Images},
  author={Krizhevsky, Alex}, institution={University of Toronto}, year={2009}}""",
    how_to_get="It is downloaded by TensorFlow Datasets (162 MB).",
)


def load_cifar10(*, data_dir: str | os.PathLike | None = None) -> SegmentationDataset:
    """CIFAR-10: splits `train` and `test`.

    So that one interface serves all data sets, the class of an image stands in every pixel of its
    label map, `(32, 32)`. `scripts/train_encnet_cifar.py` trains a classifier on the same files.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
    """
    builder = tfds.builder("cifar10", data_dir=folder_of(data_dir))
    prepare(builder, PUBLISHED)

    def open_split(split: str) -> PackedExamples:
        examples = [
            {
                "image": example["image"],
                "label": np.full(example["image"].shape[:2], example["label"], np.uint8),
                "name": example["id"],
            }
            for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
        ]
        return PackedExamples(examples, np.full((len(examples), 2), 32))

    return SegmentationDataset(
        name=PUBLISHED.name,
        class_names=CLASS_NAMES,
        palette=PUBLISHED.palette,
        splits={split: builder.info.splits[split].num_examples for split in PUBLISHED.splits},
        open_split=open_split,
    )
