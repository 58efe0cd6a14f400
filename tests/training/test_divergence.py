"""A loss or a weight that is no number ends the run, names the batch and spoils no checkpoint."""

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.checkpoint import load_checkpoint, read_state
from keras_ctxseg.training.divergence import TrainingDivergedError
from keras_ctxseg.training.progress import Progress
from keras_ctxseg.training.run import train

pytestmark = pytest.mark.usefixtures("tiny_parts")

BAD = "train5"


def is_spoilt(images):
    """Which images are mostly of the colour that no other image has."""
    return (np.abs(images - [255, 0, 255]).max(-1) < 1).mean((-1, -2)) > 0.05


@keras.saving.register_keras_serializable("tests")
class Fragile(keras.layers.Layer):
    """Gives NaN for an image of that colour, as a division by its contrast might."""

    def call(self, images):
        ops = keras.ops
        distance = ops.max(ops.abs(images - [255.0, 0.0, 255.0]), axis=-1)
        share = ops.mean(ops.cast(distance < 1, "float32"), axis=(1, 2), keepdims=True)
        return images + ops.where(share > 0.05, float("nan"), 0.0)[..., None]


@pytest.fixture
def spoilt(monkeypatch, make_model, make_dataset):
    """One training image of eight breaks the network."""

    def load(name, **options):
        dataset = make_dataset(counts=(8, 4))
        reader = dataset.reader

        class Reader:
            sizes = reader("train").sizes
            __len__ = lambda self: 8  # noqa: E731

            def read(self, index):
                import tensorflow as tf

                example = reader("train").read(index)
                bad = tf.cast(tf.constant([255, 0, 255]) * tf.ones((40, 40, 1), tf.int32), tf.uint8)
                image = tf.where(example["name"] == BAD, bad, example["image"])
                return {**example, "image": image}

        opened = lambda split: Reader() if split == "train" else reader(split)  # noqa: E731
        return ctx.data.SegmentationDataset(
            name=dataset.name,
            class_names=dataset.class_names,
            palette=dataset.palette,
            splits=dataset.splits,
            open_split=opened,
        )

    def build(name, num_classes, weights=None, **options):
        inner = make_model(num_classes)
        images = keras.Input((None, None, 3))
        return ctx.models.SegmentationModel(images, inner(Fragile()(images)))

    monkeypatch.setattr(assembly, "load", load)
    monkeypatch.setattr(assembly, "build", build)


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_the_batch_is_kept_and_names_the_image(make_config, spoilt, steps_per_execution):
    config = make_config(
        batch_size=2, save_every_steps=1, steps_per_execution=steps_per_execution, seed=3
    )
    pipeline = assembly.build_pipeline(config, assembly.load_dataset(config))
    stream = enumerate(pipeline.build().as_numpy_iterator())
    first = next(step for step, (images, *_) in stream if is_spoilt(images).any())
    assert first > 0  # Otherwise the test shows less: take another seed.

    with pytest.raises(TrainingDivergedError, match=r"the loss became nan in epoch 1") as error:
        train(config, say=lambda line: None)
    (path,) = (config.directory / "diverged").iterdir()
    assert str(path) in str(error.value)
    with np.load(path) as batches:  # What a person would write.
        steps, names, images = batches["steps"], batches["names"], batches["images"]
        labels, numbers = batches["labels"], batches["numbers"]
    assert first in steps and len(steps) == steps_per_execution + 1
    assert names.shape == numbers.shape == (len(steps), 2)
    assert labels.shape == images.shape[:-1] == (len(steps), 2, 33, 33)
    np.testing.assert_array_equal(is_spoilt(images), names == BAD)
    assert BAD in names[list(steps).index(first)]
    np.testing.assert_array_equal(numbers[:, 0], steps * 2)

    last = config.directory / "checkpoints/last.keras"
    assert read_state(last).step == first - first % steps_per_execution
    for weight in load_checkpoint(last).get_weights():
        assert np.isfinite(weight).all()


def test_weights_that_are_no_numbers_are_not_saved(make_config, monkeypatch):
    count = Progress.on_train_batch_begin

    def count_then_break(self, batch, logs=None):
        count(self, batch, logs)
        if self.session.state.step == 3:
            variable = self.model.trainable_variables[0]
            variable.assign(np.full(variable.shape, np.inf))

    monkeypatch.setattr(Progress, "on_train_batch_begin", count_then_break)
    config = make_config(batch_size=2, save_every_steps=1)
    with pytest.raises(
        TrainingDivergedError, match="a weight became NaN or infinite in epoch 1, batch 2"
    ):
        train(config, say=lambda line: None)
    assert read_state(config.directory / "checkpoints/last.keras").step == 2
