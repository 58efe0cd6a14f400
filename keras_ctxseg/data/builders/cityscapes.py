"""Cityscapes: class labels through TFDS's own builder, panoptic labels through ours."""

import os
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from keras_ctxseg.data.builders.builder import (
    PanopticRecords,
    SegmentationBuilder,
    folder_of,
    load_prepared,
)
from keras_ctxseg.data.builders.cityscapes_classes import PUBLISHED, train_ids
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.decoding import decode_grey
from keras_ctxseg.labels.panoptic import CROWD, IGNORE_LABEL, panoptic_labels

ARCHIVES = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
THING_CLASSES = PUBLISHED.thing_classes
_FIRST_INSTANCE = 1000  # smaller values are label ids


class CityscapesPanoptic(SegmentationBuilder):
    """`label` is the published `..._gtFine_instanceIds.png`, 16 bits.

    A value below 1000 is the label id of a region without instances, any other 1000 * label id +
    instance. Regions of thing classes without instances are groups, COCO's crowds.
    """

    name = "cityscapes_panoptic"
    PUBLISHED = PUBLISHED
    URLS: ClassVar[dict[str, str]] = {}
    IMAGE_FORMAT = "png"
    MANUAL_DOWNLOAD_INSTRUCTIONS = PUBLISHED.how_to_get

    def _features(self) -> dict[str, Any]:
        label = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png")
        return {**super()._features(), "label": label}

    def _split_generators(self, dl_manager):
        root = epath.Path(dl_manager.manual_dir)
        images, labels = root, root
        if not (root / "gtFine").exists():
            images, labels = (epath.Path(dl_manager.extract(root / name)) for name in ARCHIVES)
        return {
            split: self._generate_examples(images / "leftImg8bit" / part, labels / "gtFine" / part)
            for split, part in (("train", "train"), ("validation", "val"))
        }

    def _generate_examples(self, images: epath.Path, labels: epath.Path):
        for image in sorted(images.glob("*/*_leftImg8bit.png")):
            name = image.name.removesuffix("_leftImg8bit.png")
            label = labels / image.parent.name / f"{name}_gtFine_instanceIds.png"
            yield name, {"image": image, "label": label, "name": name}


def instance_id_table() -> np.ndarray:
    """int32 `(65536,)`: published instance id -> panoptic label; -1 where there is none."""
    table = np.full(1 << 16, -1, np.int32)
    for label_id, train_id in train_ids().items():
        is_thing = train_id in THING_CLASSES
        group = panoptic_labels(train_id, CROWD) if is_thing else train_id
        table[label_id] = group
        first = _FIRST_INSTANCE * label_id
        if label_id == 0:
            continue
        numbers = np.arange(1, 1 + _FIRST_INSTANCE)
        table[first : first + _FIRST_INSTANCE] = (
            panoptic_labels(train_id, numbers) if is_thing else train_id
        )
    return table


def load_panoptic(
    data_dir: str | os.PathLike | None = None, manual_dir: str | os.PathLike | None = None
) -> SegmentationDataset:
    """See `load_cityscapes`; `manual_dir` may also hold what the two archives unpack to."""
    builder = CityscapesPanoptic(data_dir=folder_of(data_dir))
    table = tf.constant(instance_id_table())
    records = PanopticRecords(
        THING_CLASSES, lambda parts: tf.gather(table, decode_grey(parts["label"]))
    )
    ids = {IGNORE_LABEL: IGNORE_LABEL}  # not looked at
    return load_prepared(PUBLISHED, builder, ids, manual_dir=manual_dir, panoptic=records)


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
