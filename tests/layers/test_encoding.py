"""The encoding layer against its equations in float64, with all residuals written out."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import Encoding, encode
from tests.layers.layer_checks import randomize


def residual_encoding(features, codewords, scale):
    """`e_k = Σ_i a_ik (x_i − d_k)`, `a_ik = softmax over k of (σ_k ‖x_i − d_k‖²)`, in float64."""
    features, codewords, scale = (np.asarray(x, "float64") for x in (features, codewords, scale))
    features = features.reshape(features.shape[0], -1, features.shape[-1])
    residuals = features[:, :, None] - codewords
    logits = scale * (residuals**2).sum(axis=-1)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    assignment = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return (assignment[..., None] * residuals).sum(axis=1)


def numeric_gradient(function, value, step=1e-6):
    """Central differences of a scalar function of one float64 array."""
    gradient = np.zeros(value.shape)
    for index in np.ndindex(*value.shape):
        moved = value.copy()
        moved[index] += step
        above = function(moved)
        moved[index] -= 2 * step
        gradient[index] = (above - function(moved)) / (2 * step)
    return gradient


def largest_tensor(function, *arguments) -> int:
    """Elements of the largest tensor in the graph of `function`, which must hide none."""
    graph = tf.function(function, autograph=False).get_concrete_function(*arguments).graph
    sizes, reserves = [1], set()
    for operation in graph.get_operations():
        assert "Call" not in operation.type and "While" not in operation.type, operation
        for tensor in operation.outputs:
            if tensor.shape.is_fully_defined():
                sizes.append(tensor.shape.num_elements())
            elif tensor.dtype.is_floating:
                # The fused normalisation has a reserve, the size of its statistics, of no static
                # shape.
                reserve = "FusedBatchNorm" in operation.type and tensor.value_index > 2
                assert reserve or reserves.issuperset(x.ref() for x in operation.inputs), tensor
                reserves.add(tensor.ref())
    return max(sizes)


def _problem(rng, batch=2, pixels=7, codewords=4, channels=3, offset=0.0):
    x = offset + rng.normal(size=(batch, pixels, channels))
    d = offset + rng.normal(size=(codewords, channels))
    return x, d, rng.uniform(-1.5, 0.5, codewords)


@pytest.mark.parametrize("shape", [(2, 35, 6), (2, 5, 7, 6)])
def test_it_is_its_equation(rng, shape):
    layer = Encoding(num_codewords=8)
    layer.build(shape)
    randomize(layer, rng)
    x = rng.normal(size=shape).astype("float32")
    outputs = layer(x)
    assert outputs.shape == (2, 8, 6)
    # Sums of a few dozen float32 products of order one.
    expected = residual_encoding(x, layer.codewords, layer.scale)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scales", ["random", "zero", "one zero"])
@pytest.mark.parametrize("codewords", [1, 4])
def test_gradients_equal_finite_differences(rng, scales, codewords):
    """In float64, where both are good to about eight digits; a scale of 0 is no exception."""
    arguments = list(_problem(rng, codewords=codewords))
    arguments[2][: {"random": 0, "zero": codewords, "one zero": 1}[scales]] = 0.0
    weights = rng.normal(size=residual_encoding(*arguments).shape)
    tensors = [tf.constant(value) for value in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(encode(*tensors) * weights)
    for index, gradient in enumerate(tape.gradient(total, tensors)):

        def moved(value, index=index):
            changed = [*arguments[:index], value, *arguments[index + 1 :]]
            return (residual_encoding(*changed) * weights).sum()

        expected = numeric_gradient(moved, arguments[index])
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


def test_float32_gradients_equal_those_of_the_residual_form(rng):
    x, d, scale = (tf.constant(value, "float32") for value in _problem(rng, 2, 50, 8, 16))
    weights = rng.normal(size=(2, 8, 16))

    def residual_form(x, d, scale):
        residuals = x[:, :, None] - d
        assignment = tf.nn.softmax(scale * tf.reduce_sum(residuals**2, -1))
        return tf.reduce_sum(assignment[..., None] * residuals, axis=1)

    gradients = []
    for function, dtype in ((encode, "float32"), (residual_form, "float64")):
        arguments = [tf.cast(value, dtype) for value in (x, d, scale)]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            total = tf.reduce_sum(function(*arguments) * tf.cast(weights, dtype))
        gradients.append(tape.gradient(total, arguments))
    for ours, theirs in zip(*gradients, strict=True):
        # Float32 rounding of logits up to about 50, carried through the softmax.
        scale_of = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale_of, theirs / scale_of, atol=2e-5)


def test_no_tensor_of_all_residuals_exists_forward_or_backward():
    batch, height, width, codewords, channels = 2, 6, 7, 12, 16
    layer = Encoding(codewords)
    layer.build((batch, height, width, channels))

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(total, [x, *[weight.value for weight in layer.weights]])

    x = tf.TensorSpec((batch, height, width, channels))
    pixels = height * width
    # The features and their squares are the largest there is.
    assert largest_tensor(gradients, x) == batch * pixels * channels

    def residual_form(x):
        return tf.reshape(x, (batch, pixels, 1, channels)) - layer.codewords

    assert largest_tensor(residual_form, x) == batch * pixels * codewords * channels


def test_a_single_codeword_takes_every_residual(rng):
    x = rng.normal(size=(2, 5, 7, 3)).astype("float32")
    layer = Encoding(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs = layer(x)
    expected = (x.reshape(2, -1, 3) - np.array(layer.codewords)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("offset", [1e2, 1e4])
def test_a_common_offset_of_features_and_codewords_does_not_matter(rng, offset):
    arguments = [value.astype("float32") for value in _problem(rng, 2, 50, 8, 16, offset)]
    expected = residual_encoding(*arguments)
    # All that is lost is what rounding the centre of the codewords loses: nothing, as far as the
    # residuals are concerned, since the same centre leaves features and codewords.
    np.testing.assert_allclose(encode(*map(tf.constant, arguments)), expected, rtol=1e-3, atol=1e-4)

    x, d = arguments[:2]
    distances = (x**2).sum(-1, keepdims=True) - 2 * x @ d.T + (d**2).sum(-1)
    exact = ((x[:, :, None].astype("float64") - d) ** 2).sum(-1)
    assert np.abs(distances - exact).max() > 3e-2 * (offset / 1e2) ** 2  # without a centre


def test_mixed_precision_computes_and_returns_float32(rng):
    """A sum beyond half precision's 65504 comes out right, and so do its gradients."""
    for policy in ("mixed_float16", "mixed_bfloat16", "float16"):
        x = tf.constant(rng.normal(50.0, 1.0, (1, 60, 60, 4)), policy.removeprefix("mixed_"))
        layer = Encoding(2, dtype=policy)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            total = tf.reduce_sum(outputs)
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        # Float32 distances of about 1e4 between pixel and codeword, to seven digits.
        expected = residual_encoding(tf.cast(x, "float64"), layer.codewords, layer.scale)
        assert np.abs(expected).max() > 65504
        np.testing.assert_allclose(outputs, expected, rtol=1e-2, atol=1e-1)
        gradients = tape.gradient(total, [x, *[weight.value for weight in layer.weights]])
        assert all(np.isfinite(tf.cast(value, "float32")).all() for value in gradients)
        copy = Encoding.from_config(layer.get_config())
        assert copy.dtype_policy.name == policy

    # Features in float32 are not rounded to half on their way in.
    x = tf.constant(rng.normal(size=(1, 9, 4)), "float32")
    half, full = Encoding(2, dtype="mixed_bfloat16"), Encoding(2)
    for layer in (half, full):
        layer.build(x.shape)
    half.set_weights(full.get_weights())
    np.testing.assert_array_equal(half(x), full(x))


def test_initial_values_follow_the_paper():
    layer = Encoding(32)
    layer.build((None, None, None, 128))
    bound = 1 / np.sqrt(32 * 128)
    codewords, scale = np.array(layer.codewords), np.array(layer.scale)
    assert 0.99 * bound < np.abs(codewords).max() <= bound
    # A uniform distribution's standard deviation is its width / √12; 4096 samples.
    np.testing.assert_allclose(codewords.std(), 2 * bound / np.sqrt(12), rtol=0.05)
    assert -1 < scale.min() < -0.7 and -0.3 < scale.max() < 0


def test_resampled_scales(rng):
    x = rng.normal(size=(2, 5, 7, 3)).astype("float32")
    layer = Encoding(4, resample_scale=True, seed=1)
    inference = layer(x, training=False)
    assert [weight.name for weight in layer.weights] == ["codewords"]
    expected = residual_encoding(x, layer.codewords, np.full(4, -0.5))
    np.testing.assert_allclose(inference, expected, rtol=1e-4, atol=1e-5)
    first, second = layer(x, training=True), layer(x, training=True)
    assert np.abs(first - second).max() > 1e-2
    copy = Encoding.from_config(layer.get_config())
    copy.build(x.shape)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(x, training=True), first)
    draws = np.array([layer._current_scale(True) for _ in range(50)])
    assert -1 <= draws.min() < -0.95 and -0.05 < draws.max() <= 0


def test_sizes_at_run_time_and_saving(rng, tmp_path):
    inputs = keras.Input((None, None, 6))
    outputs = Encoding(4, name="encoding")(inputs)
    assert outputs.shape == (None, 4, 6)
    model = keras.Model(inputs, outputs)
    x = rng.normal(size=(3, 5, 7, 6)).astype("float32")
    expected = np.array(model(x))
    # A graph may sum in another order.
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), expected)
    assert Encoding(4).compute_output_shape((None, None, None, 6)) == (None, 4, 6)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="`num_codewords` must be .* Received: num_codewords=0"):
        Encoding(0)
    with pytest.raises(ValueError, match=r"`features` must be \(batch, height.*shape \(3, 4\)"):
        Encoding(2)(np.zeros((3, 4)))
