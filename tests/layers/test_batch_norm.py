"""The fused form against Keras' own BatchNormalization, value, gradient and averages."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import BatchNorm
from tests.layers.layer_checks import randomize


@pytest.mark.parametrize("shape", [(4, 5, 7, 6), (3, 1, 1, 6)])
def test_training_step_equals_keras(rng, shape):
    x = tf.constant(rng.normal(2.0, 3.0, shape), tf.float32)
    upstream = tf.constant(rng.normal(size=shape), tf.float32)
    ours, theirs = BatchNorm(), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    for layer in (ours, theirs):
        layer.build(shape)
    randomize(ours, rng)
    theirs.set_weights(ours.get_weights())
    before = np.array(ours.moving_variance)
    results = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            total = tf.reduce_sum(outputs * upstream)
        results.append([outputs, *tape.gradient(total, [x, layer.gamma.value, layer.beta.value])])
    for mine, expected in zip(*results, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5, atol=1e-6)
    count = np.prod(shape[:3])
    variance = np.var(x, axis=(0, 1, 2), ddof=0) * count / (count - 1)
    np.testing.assert_allclose(ours.moving_variance, before * 0.9 + variance * 0.1, rtol=1e-4)
    np.testing.assert_array_equal(ours(x, training=False).shape, shape)


def test_frozen_layer_uses_its_averages(rng):
    x = rng.normal(size=(2, 3, 3, 4)).astype("float32")
    layer = BatchNorm()
    layer.build(x.shape)
    randomize(layer, rng)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))


def test_half_precision_statistics_are_float32(rng):
    layer = BatchNorm(dtype="mixed_bfloat16")
    x = tf.constant(rng.normal(100.0, 0.5, (4, 16, 16, 2)), tf.bfloat16)
    layer(x, training=True)
    np.testing.assert_allclose(
        layer.moving_mean, 0.1 * np.mean(np.array(x, "float64"), axis=(0, 1, 2)), rtol=1e-3
    )
