"""All augmentations at once: no new ids, image and label together, repeatable."""

import dataclasses
import hashlib

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.data import AugmentationConfig, TrainPipeline
from keras_ctxseg.data.augmentation_config import CopyPasteConfig
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.readers import PackedExamples
from tests.data.augmentations.placed_examples import IGNORE, check_image_says_label, everything


def take(pipeline, count, start_step=0):
    return list(pipeline.build(start_step).take(count).as_numpy_iterator())


@pytest.mark.parametrize("draws", [1000, pytest.param(10_000, marks=pytest.mark.whole)])
def test_no_id_is_invented(draws):
    # Far-apart ids: a mixture of any two would show.
    generator = np.random.default_rng(0)
    ids = np.array([3, 17, 42, 200, IGNORE])
    examples = [
        {
            "image": generator.integers(0, 256, (34, 36, 3), np.uint8),
            "label": np.kron(generator.choice(ids, (5, 6)), np.ones((7, 6), int))[:34, :36],
            "name": str(number),
        }
        for number in range(8)
    ]
    reader = PackedExamples(examples, np.tile([[34, 36]], (8, 1)))
    names = tuple(map(str, range(201)))
    palette = np.zeros((201, 3), np.uint8)
    dataset = SegmentationDataset("ids", names, palette, {"train": 8}, lambda _: reader)
    pasted = CopyPasteConfig(0.5, ("17", "200"))
    config = everything(crop_size=(33, 33), cat_max_ratio=0.6, copy_paste=pasted)
    pipeline = TrainPipeline(dataset, "train", config, batch_size=100)
    seen = (
        pipeline.build()
        .take(draws // 100)
        .map(lambda _, labels: tf.unique(tf.reshape(labels, [-1]))[0])
    )
    found = set(np.concatenate(list(seen.as_numpy_iterator())).tolist())
    assert found == set(ids.tolist())


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_image_and_label_move_together(places, probability):
    config = everything(probability, colors=False, scale_range=(0.6, 2.0))
    shares = [
        check_image_says_label(image, label)
        for images, labels in take(TrainPipeline(places, "train", config, 8), 5)
        for image, label in zip(images, labels, strict=True)
    ]
    assert np.mean(shares) > 0.5
    assert min(shares) > 0.05


def test_pixels_without_an_image_have_the_padding_colour(places):
    config = everything(pad_value=(10.5, 20.25, 30.0), scale_range=(0.3, 0.6))
    (images, labels), *_ = take(TrainPipeline(places, "train", config, 16), 1)
    outside = labels == IGNORE  # the examples have no ignored pixels of their own
    assert 0.05 < outside.mean() < 0.9
    expected = np.broadcast_to([10.5, 20.25, 30.0], (outside.sum(), 3))
    np.testing.assert_array_equal(images[outside], expected)
    assert images.min() >= 0
    assert images.max() <= 255


def test_resuming_equals_skipping(places):
    pipeline = TrainPipeline(places, "train", everything(), 2, seed=3)
    whole = take(pipeline, 5)
    for (images, labels), (resumed, resumed_labels) in zip(
        whole[3:], take(pipeline, 2, start_step=3), strict=True
    ):
        np.testing.assert_array_equal(images, resumed)
        np.testing.assert_array_equal(labels, resumed_labels)


def test_eager_and_tf_data_agree(places):
    pipeline = TrainPipeline(places, "train", everything(colors=False), 1, seed=1)
    for number, (images, labels) in enumerate(take(pipeline, 4)):
        image, label = pipeline.example(tf.constant(number, tf.int64))
        np.testing.assert_array_equal(label, labels[0])
        np.testing.assert_allclose(image, images[0], atol=1e-2)  # fused differently


def test_each_augmentation_keeps_its_share(places):
    # A third of the examples at probability 0.3, whatever else is on: their pixels tell the source.
    plain = AugmentationConfig((48, 40), scale_range=(1.0, 1.0))
    mosaic = dataclasses.replace(everything(0.3).mosaic, center_range=(0.5, 0.5))
    pipeline = TrainPipeline(
        places, "train", dataclasses.replace(plain, mosaic=mosaic), 100, seed=4
    )
    [(images, _)] = take(pipeline, 1)
    blue = images[:, [12, 12, 36, 36], [10, 30, 10, 30], 2]
    several = (blue != blue[:, :1]).any(1).sum()
    assert 10 <= several <= 50  # 30 * (1 - 1 / 27) = 29, give or take four deviations


def test_the_stream_without_them_is_what_it_always_was(places):
    # Runs are resumed with later versions: a stream must never change. The hash is of the labels,
    # which are whole numbers; pixels may differ in their last bit between processors.
    config = AugmentationConfig((48, 40), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    batches = take(TrainPipeline(places, "train", config, 4, seed=7), 3)
    labels = np.stack([labels for _, labels in batches]).astype("<i4")
    assert hashlib.sha256(labels.tobytes()).hexdigest()[:16] == "f2e25b84f43f72f4"
    means = [images.mean() for images, _ in batches]
    np.testing.assert_allclose(means, [69.436958, 48.527939, 73.968010], rtol=1e-5)


def test_a_class_that_the_data_set_lacks(places):
    config = AugmentationConfig((48, 40), copy_paste=CopyPasteConfig(0.5, ("c1", "c147")))
    with pytest.raises(
        ValueError, match=r"`augmentation.copy_paste.classes`: the data set places has no class"
    ):
        TrainPipeline(places, "train", config, 2)
