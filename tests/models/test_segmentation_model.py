"""One label map serves every output."""

import keras
import numpy as np
import pytest

from keras_ctxseg.losses import SegmentationCrossentropy
from keras_ctxseg.models import SegmentationModel


def _two_headed():
    images = keras.Input((None, None, 3), name="images")
    outputs = {
        name: keras.layers.Conv2D(3, 1, name=name)(images) for name in ("logits", "aux_logits")
    }
    return SegmentationModel(images, outputs)


def test_labels_and_weights_reach_every_output(rng):
    images = rng.uniform(0, 1, (2, 40, 40, 3)).astype("float32")
    labels = rng.integers(0, 3, (2, 40, 40))
    weights = rng.uniform(0, 1, (2, 40, 40)).astype("float32")
    loss = SegmentationCrossentropy(ignore_label=255)
    model = _two_headed()
    model.compile(
        keras.optimizers.SGD(0.0),
        loss=dict.fromkeys(("logits", "aux_logits"), loss),
        loss_weights={"logits": 1.0, "aux_logits": 0.4},
        jit_compile=False,
    )
    outputs = model(images)
    for arguments in ({}, {"sample_weight": weights}):
        expected = loss(labels, outputs["logits"], **arguments) + 0.4 * loss(
            labels, outputs["aux_logits"], **arguments
        )
        logs = model.evaluate(images, labels, verbose=0, return_dict=True, **arguments)
        np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)
        logs = model.train_on_batch(images, labels, return_dict=True, **arguments)
        np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)
    assert model.num_classes == 3


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others do not trace so")
@pytest.mark.parametrize("by", ["fit", "train_on_batch"])
def test_the_training_step_is_traced_once(rng, monkeypatch, by):
    traced = []
    step = SegmentationModel.train_step

    def counted(self, data):
        traced.append(data)
        return step(self, data)

    monkeypatch.setattr(SegmentationModel, "train_step", counted)
    model = _two_headed()
    loss = SegmentationCrossentropy()
    model.compile(
        keras.optimizers.SGD(momentum=0.9),
        loss=dict.fromkeys(("logits", "aux_logits"), loss),
        metrics={"logits": "sparse_categorical_accuracy"},
    )
    images = rng.uniform(0, 255, (2, 33, 33, 3)).astype("float32")
    labels = np.zeros((2, 33, 33), "int32")
    if by == "fit":
        model.fit(images, labels, batch_size=1, epochs=2, verbose=0)
    else:
        for _ in range(4):
            model.train_on_batch(images, labels)
    assert len(traced) == 1
    assert int(model.optimizer.iterations) == 4


def test_labels_with_a_channel_axis_are_the_same_labels(rng):
    images = rng.uniform(0, 255, (2, 33, 33, 3)).astype("float32")
    labels = rng.integers(0, 3, (2, 33, 33)).astype("int32")
    losses = []
    for given in (labels, labels[..., None]):
        keras.utils.set_random_seed(1)
        model = _two_headed()
        model.compile(
            keras.optimizers.SGD(0.01),
            loss=dict.fromkeys(("logits", "aux_logits"), SegmentationCrossentropy()),
            metrics={"logits": "sparse_categorical_accuracy"},
        )
        weights = np.ones(given.shape, "float32")
        history = model.fit(images, given, batch_size=2, epochs=2, verbose=0, sample_weight=weights)
        losses.append([*history.history["loss"], *model.evaluate(images, given, verbose=0)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
