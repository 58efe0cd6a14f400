"""A convolution computed before its input is upsampled, against upsampling first in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import ConvNormAct, rearrangement
from keras_ctxseg.layers.sampling import sampling_matrix
from keras_ctxseg.layers.upsampled_conv import costs_less, upsampled_convolution
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_layers import atrous_convolution, bilinear, norm_relu


@pytest.mark.parametrize("rate", [(1, 1), (2, 3), (9, 40)], ids=str)
@pytest.mark.parametrize("size", [(20, 12), (17, 33), (5, 3)], ids=str)  # fourfold, odd, unscaled
def test_upsampling_commutes_with_taps(rng, size, rate):
    coarse = rng.normal(size=(2, 5, 3, 6)).astype("float32")
    kernel = rng.normal(size=(3, 3, 6, 4)).astype("float32")
    expected = atrous_convolution(bilinear(coarse, *size), kernel, rate)
    ours = upsampled_convolution(tf.constant(coarse), tf.constant(kernel), size, rate)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)  # of about 10


def test_a_tap_beyond_the_map_reads_nothing():
    matrix = np.array(sampling_matrix(4, 2, (-1, 0, 5)))
    # Half-pixel centres: 0 and 3 repeat the edge, 1 and 2 lie a quarter of the way in.
    rows = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(matrix[:, 1], rows)
    np.testing.assert_allclose(matrix[:, 0], [[0, 0], *rows[:3]])
    np.testing.assert_allclose(matrix[:, 2], np.zeros((4, 2)))


@pytest.fixture
def layer_and_maps(rng):
    fine = rng.normal(size=(2, 19, 26, 3)).astype("float32")
    coarse = rng.normal(size=(2, 5, 7, 20)).astype("float32")
    layer = ConvNormAct(4, 3, dilation=2)
    layer(fine, coarse=coarse)
    randomize(layer, rng)
    return layer, fine, coarse


def test_convolution_of_an_upsampled_map_beside_a_fine_one(layer_and_maps):
    layer, fine, coarse = layer_and_maps
    both = np.concatenate([bilinear(coarse, 19, 26), fine], axis=-1)
    expected = norm_relu(atrous_convolution(both, layer.conv.kernel, 2), layer.norm)
    np.testing.assert_allclose(layer(fine, coarse=coarse), expected, rtol=1e-4, atol=1e-4)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, n)) for n in (3, 20)])
    def at_run_time(fine, coarse):
        return layer(fine, coarse=coarse)

    np.testing.assert_allclose(at_run_time(fine, coarse), expected, rtol=1e-4, atol=1e-4)


def test_training_equals_the_formula_as_written(layer_and_maps):
    layer, fine, coarse = layer_and_maps
    start = layer.get_weights()

    def step():
        layer.set_weights(start)
        maps = [tf.constant(fine), tf.constant(coarse)]
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = tf.reduce_sum(layer(maps[0], coarse=maps[1], training=True) ** 2)
        sources = [*maps, *(weight.value for weight in layer.trainable_weights)]
        return tape.gradient(loss, sources), layer.get_weights()

    gradients, moved = step()
    with rearrangement("none"):
        expected, expected_moved = step()
    for one, other in zip([*gradients, *moved], [*expected, *expected_moved], strict=True):
        # Sums over 2·19·26 positions in float32.
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())


def test_layer_contract(rng, tmp_path):
    class OfTwo(ConvNormAct):
        """With the coarse map as a second positional argument, as the check passes it."""

    check_layer(lambda **options: OfTwo(4, 3, **options), rng, others=[(4, 5, 30)])


def test_a_model_with_it_saves_and_loads(layer_and_maps, tmp_path):
    layer, fine, coarse = layer_and_maps
    inputs = [keras.Input((None, None, 3)), keras.Input((None, None, 20))]
    model = keras.Model(inputs, layer(inputs[0], coarse=inputs[1]))
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(copy([fine, coarse]), model([fine, coarse]), rtol=1e-6)


def test_it_is_used_where_it_saves_arithmetic():
    assert costs_less((32, 32), (128, 128), 256)
    assert costs_less((None, None), (None, None), 256)
    assert not costs_less((512, 1024), (1024, 2048), 256)
    assert not costs_less((32, 32), (128, 128), 8)


def test_a_level_that_does_not_exist():
    expected = "`level` must be one of .* Received: level='all'"
    with pytest.raises(ValueError, match=expected), rearrangement("all"):
        pass
