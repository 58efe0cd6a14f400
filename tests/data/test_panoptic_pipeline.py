"""Instances on their way through the pipeline: they move with the image and keep apart."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.data import AugmentationConfig, SegmentationDataset, TrainPipeline
from keras_ctxseg.data.augmentation_config import ClassMixConfig, CopyPasteConfig, MosaicConfig
from keras_ctxseg.data.panoptic import renumbered
from keras_ctxseg.data.readers import PackedExamples
from keras_ctxseg.labels.panoptic import CROWD, class_ids, instance_numbers, panoptic_labels


@pytest.fixture
def dataset(rng):
    """Things by number in the image's colours: red is the class, green the number."""
    examples = []
    for name in range(4):
        classes = rng.integers(0, 3, (5, 6)).repeat(16, 0).repeat(16, 1)
        numbers = np.where(classes == 2, rng.integers(1, 9, (5, 6)).repeat(16, 0).repeat(16, 1), 0)
        image = np.stack([classes * 50, numbers * 20, np.full_like(classes, name * 60)], -1)
        numbers[:16, :16] = CROWD
        label = panoptic_labels(np.where(numbers == CROWD, 2, classes), numbers)
        image[:16, :16] = (100, 240, name * 60)
        examples.append(
            {"image": image.astype(np.uint8), "label": label.astype(np.int32), "name": str(name)}
        )
    sizes = np.array([example["label"].shape for example in examples])
    return SegmentationDataset(
        name="numbered",
        class_names=("a", "b", "c"),
        palette=np.zeros((3, 3), np.uint8),
        splits={"train": 4},
        open_split=lambda split: PackedExamples(examples, sizes, np.int32),
        thing_classes=(2,),
    )


def batches(dataset, **changes):
    config = AugmentationConfig(crop_size=(64, 80), **changes)
    stream = TrainPipeline(dataset, "train", config, batch_size=4).build()
    return list(stream.take(3).as_numpy_iterator())


@pytest.mark.parametrize(
    "changes",
    [
        {"scale_range": (1.0, 1.0)},
        {"scale_range": (2.0, 2.0), "rotation": 25.0},
        {
            "scale_range": (1.0, 1.0),
            "mosaic": MosaicConfig(0.7),
            "copy_paste": CopyPasteConfig(0.7, ("c",)),
            "class_mix": ClassMixConfig(0.5),
        },
    ],
    ids=["crop and flip", "scale and turn", "mixed"],
)
def test_instances_move_with_the_image(dataset, changes):
    seen = 0
    for images, labels in batches(dataset, **changes):
        for image, label in zip(images, labels, strict=True):
            classes, numbers = class_ids(label), instance_numbers(label)
            flat = image == np.round(image)  # pixels that no interpolation has mixed
            exact = flat.all(-1) & (image[..., 0] % 50 == 0) & (image[..., 1] % 20 == 0)
            exact &= (image[..., 2] % 60 == 0) & (classes != 255)
            if "rotation" in changes:  # nearest label and bilinear image differ along edges
                same = np.ones_like(exact)
                for axis in (0, 1):
                    for step in (-1, 1):
                        same &= np.roll(label, step, axis) == label
                exact &= same
            red, green, blue = np.moveaxis(image.astype(int), -1, 0)
            np.testing.assert_array_equal(classes[exact] * 50, red[exact])
            # A number stands for one thing of one image, wherever in the crop it is.
            crowd = numbers == CROWD
            np.testing.assert_array_equal((green == 240)[exact], crowd[exact])
            things = exact & (numbers > 0) & ~crowd
            source = np.stack([green, blue], -1)[things]
            for number in np.unique(numbers[things]):
                assert len(np.unique(source[numbers[things] == number], axis=0)) == 1
            for pair in np.unique(source, axis=0):
                mine = (source == pair).all(-1)
                # The same picture may be in a crop twice; then each has numbers of its own.
                assert len(np.unique(numbers[things][mine])) <= (5 if "mosaic" in changes else 1)
            # Numbered without gaps.
            counted = np.unique(numbers[(numbers > 0) & ~crowd])
            np.testing.assert_array_equal(counted, np.arange(1, len(counted) + 1))
            seen += len(counted)
    assert seen > 20


def test_numbers_are_of_one_class_each():
    label = tf.constant([[3 + 1024 * 7, 4 + 1024 * 7, 255], [2, 4 + 1024 * CROWD, 3 + 1024 * 7]])
    expected = [[3 + 1024, 4 + 2048, 255], [2, 4 + 1024 * CROWD, 3 + 1024]]
    np.testing.assert_array_equal(renumbered(label), expected)
