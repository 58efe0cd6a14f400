"""Losses of one output, added up with their weights."""

import keras
import numpy as np
import pytest

from keras_ctxseg.losses import SegmentationCrossentropy, WeightedSum


def random_batch(rng, classes=4, size=(2, 5, 6)):
    labels = rng.integers(0, classes, size).astype("int32")
    labels[:, :2] = 255
    return labels, rng.normal(size=(*size, classes)).astype("float32")


def test_the_value_is_the_weighted_sum(rng):
    labels, logits = random_batch(rng)
    plain, smooth = SegmentationCrossentropy(), SegmentationCrossentropy(label_smoothing=0.3)
    weights = rng.uniform(0, 1, labels.shape).astype("float32")
    for sample_weight in (None, weights):
        expected = 0.25 * float(plain(labels, logits, sample_weight)) + 2.0 * float(
            smooth(labels, logits, sample_weight)
        )
        value = WeightedSum([plain, smooth], [0.25, 2.0])(labels, logits, sample_weight)
        np.testing.assert_allclose(float(value), expected, rtol=1e-6)  # float32 rounding
    both = WeightedSum([plain, smooth])
    np.testing.assert_allclose(
        float(both(labels, logits)),
        float(plain(labels, logits)) + float(smooth(labels, logits)),
        rtol=1e-6,
    )


def test_it_serialises(rng):
    labels, logits = random_batch(rng)
    smooth = SegmentationCrossentropy(label_smoothing=0.3)
    loss = WeightedSum([smooth, SegmentationCrossentropy()], [3, 1])
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is WeightedSum
    assert float(again(labels, logits)) == float(loss(labels, logits))


@pytest.mark.parametrize(("count", "weights"), [(0, None), (2, [1.0]), (1, [-1.0])])
def test_errors(count, weights):
    with pytest.raises(ValueError, match=f"`weights` must hold.*Received: {count} losses"):
        WeightedSum([SegmentationCrossentropy()] * count, weights)
