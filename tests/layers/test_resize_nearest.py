"""Nearest-neighbour resizing against its definition, value and gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import ResizeNearest
from tests.backbones.numpy_spinenet import nearest

SIZES = [((65, 97), (3, 4)), ((64, 96), (2, 3)), ((33, 40), (9, 10)), ((60, 35), (15, 1))]


@pytest.mark.parametrize(("image", "size"), SIZES)
def test_it_reads_the_pixel_under_each_centre(rng, image, size):
    x = rng.normal(size=(2, *size, 3)).astype("float32")
    images = np.zeros((2, *image, 3), "float32")
    layer = ResizeNearest(4)
    result = layer(x, images)
    height, width = (-(-length // 4) for length in image)
    np.testing.assert_array_equal(result, nearest(x, height, width))
    assert layer.compute_output_shape(x.shape, images.shape) == result.shape
    # Whole multiples are plain repetition, as in tf-models' nearest_upsampling.
    if height % size[0] == 0 and width % size[1] == 0:
        repeated = x.repeat(height // size[0], axis=1).repeat(width // size[1], axis=2)
        np.testing.assert_array_equal(result, repeated)


@pytest.mark.parametrize(("image", "size"), SIZES)
def test_gradient_goes_back_to_the_pixels_read(rng, image, size):
    x = tf.constant(rng.normal(size=(1, *size, 2)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = ResizeNearest(4)(x, tf.zeros((1, *image, 3)))
        upstream = rng.normal(size=result.shape)
        total = tf.reduce_sum(result * tf.constant(upstream, "float32"))
    rows, columns = (
        nearest(np.eye(length)[np.newaxis, :, np.newaxis], new, 1)[0, :, 0]
        for length, new in zip(size, result.shape[1:3], strict=True)
    )
    expected = np.einsum("hi,wj,bhwc->bijc", rows, columns, upstream)
    np.testing.assert_allclose(tape.gradient(total, x), expected, rtol=1e-5, atol=1e-5)


def test_sizes_known_at_run_time_only(rng, tmp_path):
    small, images = keras.Input((None, None, 2)), keras.Input((None, None, 3))
    model = keras.Model([small, images], ResizeNearest(8)(small, images))
    assert model.output.shape == (None, None, None, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for image, size in SIZES:
        x = rng.normal(size=(1, *size, 2)).astype("float32")
        inputs = [x, np.zeros((1, *image, 3), "float32")]
        expected = nearest(x, *(-(-length // 8) for length in image))
        np.testing.assert_array_equal(model.predict(inputs, verbose=0), expected)
        np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_it_keeps_the_compute_dtype(rng, policy):
    layer = ResizeNearest(4, dtype=policy)
    result = layer(rng.normal(size=(1, 3, 4, 2)).astype("float32"), np.zeros((1, 65, 97, 3)))
    assert keras.backend.standardize_dtype(result.dtype) == policy.removeprefix("mixed_")


def test_reduction_is_checked():
    with pytest.raises(ValueError, match="`reduction` must be at least 1. Received: reduction=0"):
        ResizeNearest(0)
