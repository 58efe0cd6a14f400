"""The training stream: repeatable, resumable, complete."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg import data
from keras_ctxseg.data import AugmentationConfig, TrainPipeline
from keras_ctxseg.data.dataset import SegmentationDataset

CONFIG = AugmentationConfig((36, 40), brightness=0.2, saturation=0.2)
COUNT = 7


class NumberedExamples:
    """Examples whose labels are their index, and a record of which were read."""

    def __init__(self, count=COUNT, size=(40, 44)):
        self.sizes = np.tile(np.array([size]), (count, 1))
        self.reads = []

    def __len__(self):
        return len(self.sizes)

    def read(self, index):
        def note(index):
            self.reads.append(int(index))
            return index

        index = tf.numpy_function(note, [index], tf.int64)
        label = tf.fill(self.sizes[0], tf.cast(tf.ensure_shape(index, ()), tf.int32))
        image = tf.cast(tf.repeat(label[..., None], 3, -1) * 9, tf.uint8)
        return {"image": image, "label": label, "name": tf.strings.as_string(index)}


@pytest.fixture
def examples():
    return NumberedExamples()


@pytest.fixture
def numbered(examples):
    names = tuple(f"class {index}" for index in range(COUNT))
    palette = np.zeros((COUNT, 3), np.uint8)
    return SegmentationDataset("numbered", names, palette, {"train": COUNT}, lambda split: examples)


def take(pipeline, count, start_step=0):
    return list(pipeline.build(start_step).take(count).as_numpy_iterator())


def assert_equal(first, second):
    for (images, labels), (other_images, other_labels) in zip(first, second, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def test_batches(numbered):
    pipeline = TrainPipeline(numbered, "train", CONFIG, batch_size=3)
    dataset = pipeline.build()
    assert dataset.element_spec == (
        tf.TensorSpec((3, 36, 40, 3), tf.float32),
        tf.TensorSpec((3, 36, 40), tf.int32),
    )
    assert int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
    assert pipeline.steps_per_epoch == 3  # 7 examples: two full batches and a rest


def test_two_builds_are_bit_equal(write_folder):
    dataset = data.load("folder", path=write_folder())
    first, second = (TrainPipeline(dataset, "train", CONFIG, 2, seed=5) for _ in range(2))
    assert_equal(take(first, 9), take(second, 9))
    assert_equal(take(first, 9), take(first, 9))


def test_another_seed_gives_another_stream(numbered):
    first, second = (TrainPipeline(numbered, "train", CONFIG, 2, seed) for seed in (0, 1))
    assert any(
        not np.array_equal(one[0], other[0])
        for one, other in zip(take(first, 3), take(second, 3), strict=True)
    )


@pytest.mark.parametrize("start_step", [1, 4, 11])
def test_resuming_equals_skipping(numbered, start_step):
    pipeline = TrainPipeline(numbered, "train", CONFIG, 2, seed=3)
    whole = take(pipeline, start_step + 4)
    assert_equal(take(pipeline, 4, start_step), whole[start_step:])


def test_resuming_reads_nothing_that_it_skips(numbered, examples):
    pipeline = TrainPipeline(numbered, "train", CONFIG, 1, seed=3, cache="none")
    pipeline.build(10**9)
    assert examples.reads == []
    take(pipeline, 2, start_step=10**9)
    assert len(examples.reads) < 200  # prefetched, not skipped over


@pytest.mark.parametrize("cache", ["none", "memory"])
@pytest.mark.parametrize("image_scale", [1.0, 0.9])
def test_cache_changes_nothing(write_folder, cache, image_scale):
    dataset = data.load("folder", path=write_folder())
    config = AugmentationConfig((36, 40), hue=0.1)

    def batches(cache):
        pipeline = TrainPipeline(dataset, "train", config, 2, cache=cache, image_scale=image_scale)
        return take(pipeline, 6)

    assert_equal(batches(cache), batches("auto"))


def test_an_epoch_takes_each_example_once_in_an_order_of_its_own(numbered):
    pipeline = TrainPipeline(numbered, "train", CONFIG, 1, seed=2)
    order = [int(labels[labels != 255][0]) for _, labels in take(pipeline, COUNT * 20)]
    epochs = [tuple(epoch) for epoch in np.reshape(order, (20, COUNT)).tolist()]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len(set(epochs)) > 15


def test_an_example_looks_different_in_each_epoch(numbered):
    pipeline = TrainPipeline(numbered, "train", CONFIG, COUNT, seed=2)
    sums = [sorted(images.sum(axis=(1, 2, 3))) for images, _ in take(pipeline, 2)]
    assert not np.allclose(*sums)


def test_reading_one_example_alone_gives_the_one_of_the_stream(numbered):
    pipeline = TrainPipeline(numbered, "train", CONFIG, 1, seed=2)
    batches = take(pipeline, 5)
    image, label = pipeline.example(tf.constant(4, tf.int64))
    np.testing.assert_array_equal(label, batches[4][1][0])
    np.testing.assert_allclose(image, batches[4][0][0], atol=1e-3)


def test_a_process_may_end_while_the_pipeline_reads(write_folder):
    # A pipeline that calls Python would wait here for the interpreter for ever.
    code = (
        "import sys; sys.argv = ['ctxseg']\n"
        "from keras_ctxseg import data\n"
        f"dataset = data.load('folder', path={str(write_folder())!r})\n"
        "config = data.AugmentationConfig((36, 40))\n"
        "pipeline = data.TrainPipeline(dataset, 'train', config, 2, cache='none')\n"
        "iterator = iter(pipeline.build())\n"
        "next(iterator)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_half_size_is_the_mean_of_two_by_two_pixels(write_folder):
    dataset = data.load("folder", path=write_folder(size=(80, 84)))
    raw = list(dataset.examples("val"))
    scaled = list(data.evaluation_examples(dataset, "val", image_scale=0.5))
    assert len(scaled) == 2
    for before, after in zip(raw, scaled, strict=True):
        mean = before["image"].numpy().reshape(40, 2, 42, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(after["image"], mean, atol=1e-3)
        np.testing.assert_array_equal(after["label"], before["label"])
        assert after["name"] == before["name"]
        assert after["image"].dtype == tf.float32


def test_evaluation_at_full_size_leaves_pixels_alone(write_folder):
    dataset = data.load("folder", path=write_folder())
    for before, after in zip(
        dataset.examples("val"), data.evaluation_examples(dataset, "val"), strict=True
    ):
        np.testing.assert_array_equal(after["image"], before["image"])


def test_an_image_scale_that_makes_images_too_small(write_folder):
    dataset = data.load("folder", path=write_folder())
    expected = r"smallest image of photos/val is 40x52 .* at least 33 .* Received: image_scale=0.5"
    with pytest.raises(ValueError, match=expected):
        data.evaluation_examples(dataset, "val", image_scale=0.5)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"batch_size": 0}, r"`batch_size`: expected 1 or more. Received: 0"),
        ({"batch_size": 1, "cache": "disk"}, r"`cache`: expected 'auto', 'memory' or 'none'"),
    ],
)
def test_refusals(numbered, options, expected):
    with pytest.raises(ValueError, match=expected):
        TrainPipeline(numbered, "train", CONFIG, **options)
