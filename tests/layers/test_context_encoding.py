"""EncNet's module against its equations in float64, in both published variants."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import ContextEncoding, EncodedSemantics
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_layers import atrous_convolution, conv_norm_act, norm_relu
from tests.layers.test_encoding import largest_tensor, numeric_gradient, residual_encoding

VARIANTS = ("released", "paper")
# Sums of a few dozen float32 products of order one.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def _semantics(layer, x, norm=norm_relu):
    """e of the paper: codewords last for the normalisation, then the sum or the mean over them."""
    encoded = residual_encoding(x, layer.encoding.codewords, layer.encoding.scale)
    by_codeword = norm(encoded.transpose(0, 2, 1), layer.norm)
    return by_codeword.mean(-1) if layer.variant == "released" else by_codeword.sum(-1)


def _gated(layer, x, encoded):
    gate = 1 / (1 + np.exp(-(encoded @ np.array(layer.gate.kernel) + np.array(layer.gate.bias))))
    gated = x * gate[:, None, None]
    return np.maximum(x + gated, 0) if layer.semantics.variant == "released" else gated


def _layer(variant, rng, shape, dtype=None):
    layer = ContextEncoding(num_codewords=4, variant=variant, dtype=dtype)
    layer.build(shape)
    randomize(layer, rng)
    return layer


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_its_equation(rng, variant):
    x = rng.normal(size=(2, 5, 7, 6))
    layer = _layer(variant, rng, x.shape)
    projected = conv_norm_act(x, layer.semantics.project) if variant == "released" else x
    expected = _semantics(layer.semantics, projected)
    features, encoded = layer(x)
    np.testing.assert_allclose(encoded, expected, **TOLERANCE)
    np.testing.assert_allclose(features, _gated(layer, x, expected), **TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_codeword_is_normalised_by_itself_in_training(rng, variant):
    x = rng.normal(size=(3, 5, 7, 6)).astype("float32")
    layer = _layer(variant, rng, x.shape)

    def batch_norm(y, norm, moments=None):
        axes = tuple(range(y.ndim - 1))
        mean, variance = y.mean(axis=axes), y.var(axis=axes)
        y = (y - mean) / np.sqrt(variance + 1e-5)
        return np.maximum(y * np.array(norm.gamma) + np.array(norm.beta), 0)

    projected = x
    if variant == "released":
        convolved = atrous_convolution(x, layer.semantics.project.conv.kernel)
        projected = batch_norm(convolved, layer.semantics.project.norm)
    expected = _semantics(layer.semantics, projected, batch_norm)
    assert layer.semantics.norm.gamma.shape == (4,)
    # Differences of nearly equal float32 sums, divided by a small standard deviation.
    np.testing.assert_allclose(layer(x, training=True)[1], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_equal_finite_differences(rng, variant):
    x = rng.normal(size=(2, 2, 3, 3))
    layer = _layer(variant, rng, x.shape, dtype="float64")
    weights = rng.normal(size=x.shape)

    def total(value):
        projected = value
        if variant == "released":
            projected = conv_norm_act(value, layer.semantics.project)
        encoded = _semantics(layer.semantics, projected)
        return (_gated(layer, value, encoded) * weights).sum() + encoded.sum()

    images = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(images)
        features, encoded = layer(images)
        ours = tf.reduce_sum(features * weights) + tf.reduce_sum(encoded)
    assert features.dtype == encoded.dtype == tf.float64
    gradient = tape.gradient(ours, images)
    np.testing.assert_allclose(gradient, numeric_gradient(total, x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_tensor_of_all_residuals_exists(variant):
    batch, height, width, channels, codewords = 2, 6, 7, 16, 12
    layer = ContextEncoding(codewords, variant)
    layer.build((batch, height, width, channels))

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            features, encoded = layer(x, training=True)
            total = tf.reduce_sum(features**2) + tf.reduce_sum(encoded**2)
        return tape.gradient(total, [x, *[weight.value for weight in layer.trainable_weights]])

    size = batch * height * width * channels
    assert largest_tensor(gradients, tf.TensorSpec((batch, height, width, channels))) == size


@keras.saving.register_keras_serializable("tests")
class FeaturesOnly(ContextEncoding):
    """The module as a layer from one map to one map."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=training)[0]

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(input_shape)[0]

    def compute_output_spec(self, inputs, training=None):
        return super().compute_output_spec(inputs, training)[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_layer_contract(rng, variant, tmp_path):
    def make_layer(**kwargs):
        return FeaturesOnly(num_codewords=4, variant=variant, **kwargs)

    check_layer(make_layer, rng, tmp_path=tmp_path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_in_a_users_own_model(rng, tmp_path, variant):
    """Both outputs, sizes at run time, a mixed policy, and what a file gives back."""
    inputs = keras.Input((None, None, 6))
    features, encoded = ContextEncoding(4, variant, dtype="mixed_bfloat16")(inputs)
    assert (features.shape, features.dtype) == ((None, None, None, 6), "bfloat16")
    assert (encoded.shape, encoded.dtype) == ((None, 6), "float32")
    model = keras.Model(inputs, [features, encoded])
    randomize(model, rng)
    x = rng.normal(size=(2, 5, 7, 6)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model(x), loaded(x), strict=True):
        np.testing.assert_array_equal(tf.cast(theirs, "float32"), tf.cast(ours, "float32"))
    assert keras.backend.standardize_dtype(model(x)[1].dtype) == "float32"


def test_parameter_counts_at_full_size():
    """models of 512 channels and 32 codewords: projection, codes, norm and gate make 0.542 M."""
    counts = {}
    for variant in VARIANTS:
        layer = ContextEncoding(32, variant)
        layer.build((None, 60, 60, 512))
        counts[variant] = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
    projection, codes, norm, gate = 512 * 512 + 2 * 512, 32 * 512 + 32, 2 * 32, 512 * 512 + 512
    assert counts["released"] == projection + codes + norm + gate == 542_304
    assert counts["paper"] == codes + norm + gate


def test_errors_name_the_argument():
    for layer_class in (ContextEncoding, EncodedSemantics):
        with pytest.raises(ValueError, match="`variant` must be .* Received: variant='original'"):
            layer_class(variant="original")
