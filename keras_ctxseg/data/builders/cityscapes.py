"""Cityscapes: class labels through TFDS's own builder, panoptic labels through ours."""

import os

import tensorflow_datasets as tfds

from keras_ctxseg.data.builders.builder import folder_of, load_prepared
from keras_ctxseg.data.builders.cityscapes_classes import PUBLISHED, train_ids
from keras_ctxseg.data.builders.cityscapes_panoptic import load_panoptic
from keras_ctxseg.data.dataset import SegmentationDataset


def load_cityscapes(
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    panoptic: bool = False,
) -> SegmentationDataset:
    """Cityscapes: splits `train`, `val` and `test` (whose published labels are all ignored).

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        manual_dir: the folder with the two downloaded archives; TFDS's
            `<data_dir>/downloads/manual` if not given. Needed once.
        panoptic: labels tell the objects of the eight thing classes apart too; they come from the
            same archives, and are prepared once more. Without the split `test`.
    """
    if panoptic:
        return load_panoptic(data_dir, manual_dir)
    builder = tfds.builder("cityscapes/semantic_segmentation", data_dir=folder_of(data_dir))
    names = ("image_left", "segmentation_label", "image_id")
    return load_prepared(PUBLISHED, builder, train_ids(), names, manual_dir)
