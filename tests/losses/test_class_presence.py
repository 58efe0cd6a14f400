"""The presence loss against a NumPy loop in float64."""

import keras
import numpy as np
import pytest

from keras_ctxseg.losses import ClassPresenceLoss

IGNORE = 255


def random_case(seed=0, batch=3, classes=5):
    rng = np.random.default_rng(seed)
    # Blocks of 2x2, so that not every image shows every class.
    labels = rng.integers(0, classes, (batch, 2, 2)).repeat(3, 1).repeat(3, 2)
    labels[rng.random(labels.shape) < 0.3] = IGNORE
    return labels, rng.normal(0.0, 3.0, (batch, classes)).astype("float32")


def oracle(labels, logits):
    """Mean over classes and over images with a valid pixel, and the gradient."""
    images = [k for k in range(len(labels)) if (labels[k] != IGNORE).any()]
    losses, gradient = [], np.zeros(logits.shape)
    for k in images:
        for c in range(logits.shape[1]):
            target = float((labels[k] == c).any())
            probability = 1.0 / (1.0 + np.exp(-np.float64(logits[k, c])))
            losses.append(-target * np.log(probability) - (1 - target) * np.log1p(-probability))
            gradient[k, c] = (probability - target) / (len(images) * logits.shape[1])
    return np.mean(losses), gradient


@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient(value_and_gradient, seed):
    labels, logits = random_case(seed)
    if seed == 2:
        labels[1] = IGNORE
    value, gradient = value_and_gradient(lambda x: ClassPresenceLoss()(labels, x), logits)
    expected, expected_gradient = oracle(labels, logits)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-8)


def test_equals_keras_binary_crossentropy():
    labels, logits = random_case(4)
    labels[:, 0, 0] = 1
    present = np.stack([[(image == c).any() for c in range(5)] for image in labels])
    expected = keras.losses.BinaryCrossentropy(from_logits=True)(present.astype("f4"), logits)
    assert float(ClassPresenceLoss()(labels, logits)) == pytest.approx(float(expected), rel=1e-5)


def test_nothing_valid_gives_zero_and_zero_gradient(value_and_gradient):
    labels, logits = random_case(5)
    labels[:] = IGNORE
    value, gradient = value_and_gradient(lambda x: ClassPresenceLoss()(labels, x), logits)
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros_like(logits))


def test_large_logits_stay_finite(value_and_gradient):
    labels, logits = random_case(6)
    value, gradient = value_and_gradient(lambda x: ClassPresenceLoss()(labels, x), logits * 1e30)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_sample_weights():
    labels, logits = random_case(7)
    weights = np.array([1.0, 0.0, 0.0], "float32")
    value = float(ClassPresenceLoss()(labels, logits, weights))
    assert value == pytest.approx(float(ClassPresenceLoss()(labels[:1], logits[:1])), rel=1e-6)


def test_an_id_that_is_no_class_makes_the_loss_nan():
    labels, logits = random_case(8)
    labels[2, 0, 0] = 5
    assert np.isnan(float(ClassPresenceLoss()(labels, logits)))


def test_serialises_and_checks_shapes():
    loss = ClassPresenceLoss(ignore_label=0, name="se")
    config = keras.losses.serialize(loss)
    assert config["registered_name"] == "keras_ctxseg>ClassPresenceLoss"
    assert keras.losses.deserialize(config).get_config() == loss.get_config()
    labels, logits = random_case(9)
    with pytest.raises(ValueError, match=r"\(batch, classes\).*\(3, 1, 5\)"):
        loss(labels, logits[:, None])
    with pytest.raises(ValueError, match=r"\(batch,\).*\(3, 6\)"):
        loss(labels, logits, np.ones((3, 6)))
