"""One kernel at many rates: both forms against explicit zero-filled kernels, value and gradient."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers.rearranged_arithmetic import rearrangement
from keras_ctxseg.layers.shared_kernel import (
    cheaper_form,
    shared_atrous_convolutions,
    shared_atrous_grid,
)
from tests.layers.numpy_layers import atrous_convolution

# Rates equal, unequal by axis, wider than the map, and 0 (the target pixel only).
RATES = [1, 3, (2, 5), (4, 1), 40]


def _zero_filled(kernel, rate):
    rate_h, rate_w = (rate, rate) if isinstance(rate, int) else rate
    filled = np.zeros((2 * rate_h + 1, 2 * rate_w + 1, *kernel.shape[2:]), kernel.dtype)
    filled[::rate_h, ::rate_w] = kernel
    return filled


FORMS = [("direct", "full"), ("product", "slices"), ("product", "full")]


@pytest.mark.parametrize(("form", "level"), FORMS)
def test_value_and_gradient_equal_a_zero_filled_kernel(rng, form, level):
    x = tf.constant(rng.normal(size=(2, 9, 14, 3)), tf.float32)
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 4)), tf.float32)
    upstream = [tf.constant(rng.normal(size=(2, 9, 14, 4)), tf.float32) for _ in RATES]
    with rearrangement(level), tf.GradientTape(persistent=True) as tape:
        tape.watch([x, kernel])
        ours = shared_atrous_convolutions(x, kernel, RATES, form)
        total = sum(tf.reduce_sum(a * b) for a, b in zip(ours, upstream, strict=True))
        dense = [tf.nn.conv2d(x, tf.stack(_fill(kernel, rate)), 1, "SAME") for rate in RATES]
        expected = sum(tf.reduce_sum(a * b) for a, b in zip(dense, upstream, strict=True))
    for one, rate in zip(ours, RATES, strict=True):
        np.testing.assert_allclose(
            one, atrous_convolution(x.numpy(), kernel.numpy(), rate), rtol=1e-4, atol=1e-4
        )
    for ours_gradient, gradient in zip(
        tape.gradient(total, [x, kernel]), tape.gradient(expected, [x, kernel]), strict=True
    ):
        # Sums over 2·9·14 positions in float32.
        np.testing.assert_allclose(ours_gradient, gradient, rtol=1e-3, atol=1e-3)


def _fill(kernel, rate):
    """A kernel with zeros between its taps, as a differentiable TensorFlow expression."""
    rate_h, rate_w = (rate, rate) if isinstance(rate, int) else rate
    rows = tf.one_hot([0, rate_h, 2 * rate_h], 2 * rate_h + 1)
    columns = tf.one_hot([0, rate_w, 2 * rate_w], 2 * rate_w + 1)
    return tf.einsum("abio,ah,bw->hwio", kernel, rows, columns)


def test_zero_filled_by_matrix_equals_zero_filled_by_slices(rng):
    kernel = rng.normal(size=(3, 3, 2, 2)).astype("float32")
    np.testing.assert_array_equal(_fill(tf.constant(kernel), (2, 5)), _zero_filled(kernel, (2, 5)))


def test_rate_zero_reads_one_pixel(rng):
    x = rng.normal(size=(1, 5, 5, 3)).astype("float32")
    kernel = rng.normal(size=(3, 3, 3, 4)).astype("float32")
    (result,) = shared_atrous_convolutions(tf.constant(x), tf.constant(kernel), [0])
    np.testing.assert_allclose(result, x @ kernel.sum(axis=(0, 1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("level", ["slices", "full"])
def test_run_time_sizes_with_rates_beyond_the_map(rng, level):
    x = rng.normal(size=(1, 5, 6, 3)).astype("float32")
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 4)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def convolve(images):
        return shared_atrous_convolutions(images, kernel, RATES, "product")

    with rearrangement(level):
        results = convolve(x)
    for one, rate in zip(results, RATES, strict=True):
        np.testing.assert_allclose(
            one, atrous_convolution(x, kernel.numpy(), rate), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(("form", "level"), FORMS)
@pytest.mark.parametrize("size", [(9, 14), (None, None)], ids=["static", "run_time"])
def test_a_grid_equals_its_pairs(rng, form, level, size):
    """Rows and columns apart, against zero-filled kernels of unequal rates; the last are beyond."""
    rates = (1, 3, 20)
    pairs = list(itertools.product(rates, rates))
    x = tf.constant(rng.normal(size=(2, 9, 14, 3)), tf.float32)
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 4)), tf.float32)
    upstream = [tf.constant(rng.normal(size=(2, 9, 14, 4)), tf.float32) for _ in pairs]

    @tf.function(input_signature=[tf.TensorSpec((None, *size, 3)), tf.TensorSpec((3, 3, 3, 4))])
    def ours(images, weights):
        with tf.GradientTape() as tape:
            tape.watch([images, weights])
            maps = shared_atrous_grid(images, weights, rates, form)
            total = sum(tf.reduce_sum(a * b) for a, b in zip(maps, upstream, strict=True))
        return maps, tape.gradient(total, [images, weights])

    with rearrangement(level):
        maps, gradients = ours(x, kernel)
    for one, pair in zip(maps, pairs, strict=True):
        np.testing.assert_allclose(
            one, atrous_convolution(x.numpy(), kernel.numpy(), pair), rtol=1e-4, atol=1e-4
        )
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        dense = [tf.nn.conv2d(x, _fill(kernel, pair), 1, "SAME") for pair in pairs]
        total = sum(tf.reduce_sum(a * b) for a, b in zip(dense, upstream, strict=True))
    for mine, expected in zip(gradients, tape.gradient(total, [x, kernel]), strict=True):
        # Sums over 2·9·14 positions of nine pairs in float32.
        np.testing.assert_allclose(mine, expected, rtol=1e-3, atol=1e-3)


def test_the_form_is_chosen_by_shape():
    assert cheaper_form(channels=2048, num_rates=4) == "product"
    assert cheaper_form(channels=320, num_rates=4) == "product"
    assert cheaper_form(channels=320, num_rates=1) == "direct"
    assert cheaper_form(channels=64, num_rates=3) == "direct"
    # Sixteen pairs share their columns: 84 additions and not 144.
    assert cheaper_form(channels=128, num_rates=16) == "direct"
    assert cheaper_form(channels=128, num_rates=16, additions=84) == "product"


def test_unknown_form_is_an_error(rng):
    with pytest.raises(ValueError, match="`form` must be .* Received: form='fast'"):
        shared_atrous_convolutions(tf.zeros((1, 3, 3, 2)), tf.zeros((3, 3, 2, 2)), [1], "fast")
