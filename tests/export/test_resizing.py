"""Resizing without TensorFlow against `tf.image.resize`."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.export.loading import resizing
from keras_ctxseg.export.loading.resizing import labels_of_resized, resized_image, resized_labels

# Larger, smaller by more and by less than two, one axis up and the other down, the same.
SIZES = [
    ((96, 128), (120, 160)),
    ((333, 517), (96, 128)),
    ((120, 160), (96, 128)),
    ((97, 33), (33, 97)),
    ((40, 56), (40, 56)),
]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_images_are_antialiased(rng, source, target):
    image = rng.integers(0, 256, (*source, 3), np.uint8)
    expected = tf.image.resize(image, target, antialias=True).numpy()
    found = resized_image(image, target)
    assert found.dtype == np.uint8
    # At halves either neighbour is right, and TensorFlow's weights are of float32: up to 1e-3 off.
    assert np.abs(found - expected).max() < 0.5 + 2e-3


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_labels_of_the_nearest_pixel_and_of_resized_logits(rng, source, target, monkeypatch):
    labels = rng.integers(0, 19, source).astype(np.int32)
    expected = tf.image.resize(labels[..., None], target, "nearest")[..., 0]
    np.testing.assert_array_equal(resized_labels(labels, target), expected)
    logits = rng.normal(size=(*source, 4)).astype(np.float32)
    monkeypatch.setattr(resizing, "STRIP_VALUES", 7 * 4 * target[1])  # strips of seven rows
    found = labels_of_resized(logits, target)
    assert found.dtype == np.int32
    expected = tf.argmax(tf.image.resize(logits, target), axis=-1).numpy()
    assert (found == expected).mean() > 0.9999  # but for ties of the last bit
