"""The SpaM branch and its exchange against their equations, value and gradient."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import SpaMBranch, SpaMExchange
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_layers import (
    atrous_convolution,
    bilinear,
    conv_norm_act,
    norm_relu,
    normalize,
)

CHANNELS, FEATURES = 3, 5
DOWN = ("space_to_depth", "strided_conv", "average_pooling")
# Image size, stride, reduction, block: odd and even, a block beyond the map, a block of one pixel,
# and a reduction beyond the block.
CASES = [
    ((16, 24), 1, 4, 8),
    ((13, 19), 1, 8, 8),
    ((33, 17), 2, 8, 8),
    ((21, 40), 1, 8, 4),
    ((37, 22), 1, 16, 16),
    ((11, 14), 4, 4, 8),
    ((5, 6), 1, 8, 8),
]


def _maps(rng, size, stride, reduction):
    sizes = [[math.ceil(length / step) for length in size] for step in (stride, reduction)]
    return (
        rng.normal(size=(2, *sizes[0], CHANNELS)),
        rng.normal(size=(2, *sizes[1], FEATURES)),
    )


def _make(rng, memory, features, *arguments):
    layer = SpaMExchange(CHANNELS, *arguments)
    layer.build(memory.shape, features.shape)
    randomize(layer, rng)
    return layer


def _blocks(x, side, step, count):
    """The pixels under each cell, `(batch, rows, columns, side, side, channels)`, 0 outside."""
    rows, columns = count
    blocks = np.zeros((len(x), rows, columns, side, side, x.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            block = x[:, i * step : i * step + side, j * step : j * step + side]
            blocks[:, i, j, : block.shape[1], : block.shape[2]] = block
    return blocks


def _expected(layer, memory, features):
    """The docstring's equations, with a space-to-depth that is spelt out."""
    semantics = atrous_convolution(features, layer.to_memory.conv.kernel)
    semantics = bilinear(normalize(semantics, layer.to_memory.norm), *memory.shape[1:3])
    memory = conv_norm_act(memory + semantics, layer.remember)
    side = min(layer.reduction, layer.block) // layer.stride
    step, count = layer.reduction // layer.stride, features.shape[1:3]
    kernel = np.asarray(layer.from_memory.kernel, "float64")
    if layer.down == "space_to_depth":
        folded = _blocks(memory, side, step, count).reshape(2, *count, -1)
        kernel = kernel.reshape(-1, FEATURES)
    elif layer.down == "average_pooling":
        folded = _blocks(memory, side, step, count).mean(axis=(3, 4))
    else:
        folded = memory
        for conv in layer.halve:
            dense = atrous_convolution(folded, conv.conv.kernel)[:, ::2, ::2]
            folded = norm_relu(dense, conv.norm)
        folded = folded[:, :: step // side, :: step // side]
    detail = folded @ kernel.reshape(-1, FEATURES)
    return memory, features + normalize(detail, layer.norm)


@pytest.mark.parametrize("down", DOWN)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_exchange_is_its_equation(rng, down, case):
    size, stride, reduction, block = case
    memory, features = _maps(rng, size, stride, reduction)
    layer = _make(rng, memory, features, stride, reduction, down, block)
    # Sums of up to 16·16·3 float32 products of order one.
    for result, expected in zip(
        layer(memory, features), _expected(layer, memory, features), strict=True
    ):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_exchange_has_the_gradients_of_the_naive_form(rng):
    """Against TensorFlow's space-to-depth and a matrix product in float64."""
    memory, features = _maps(rng, (13, 18), 1, 4)
    layer = _make(rng, memory, features, 1, 4)
    upstream = [rng.normal(size=value.shape) for value in (memory, features)]
    with tf.GradientTape() as tape:
        inputs = [tf.constant(value, tf.float32) for value in (memory, features)]
        tape.watch(inputs)
        total = sum(
            tf.reduce_sum(result * tf.constant(weight, tf.float32))
            for result, weight in zip(layer(*inputs), upstream, strict=True)
        )
    ours = tape.gradient(total, inputs + [weight.value for weight in layer.trainable_weights])

    weights = {
        weight.path.removeprefix(f"{layer.name}/"): tf.constant(np.array(weight, "float64"))
        for weight in layer.weights
    }
    with tf.GradientTape() as tape:
        inputs = [tf.constant(value, tf.float64) for value in (memory, features)]
        tape.watch([*inputs, *weights.values()])
        results = _naive(*inputs, weights)
        total = sum(tf.reduce_sum(a * b) for a, b in zip(results, upstream, strict=True))
    paths = [weight.path.removeprefix(f"{layer.name}/") for weight in layer.trainable_weights]
    expected = tape.gradient(total, inputs + [weights[path] for path in paths])
    for path, mine, theirs in zip(["memory", "features", *paths], ours, expected, strict=True):
        # Sums over all pixels in float32, relative to the largest.
        error = np.abs(np.asarray(mine) - theirs).max() / np.abs(theirs).max()
        assert error < 1e-4, f"{path}: {error}"


def _naive(memory, features, weights):
    def norm(x, part):
        gamma, beta, mean, variance = (
            weights[f"{part}/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) * gamma / tf.sqrt(variance + 1e-3) + beta

    semantics = norm(features @ weights["to_memory/conv/kernel"][0, 0], "to_memory/bn")
    rows, columns = memory.shape[1:3]
    # Interpolation is linear: its matrices are what it makes of the unit vectors.
    down = bilinear(np.eye(features.shape[1])[None, :, None], rows, 1)[0, :, 0]
    across = bilinear(np.eye(features.shape[2])[None, None], 1, columns)[0, 0]
    semantics = tf.einsum("bijc,hi,wj->bhwc", semantics, down, across)
    memory = tf.nn.conv2d(memory + semantics, weights["remember/conv/kernel"], 1, "SAME")
    memory = tf.nn.relu(norm(memory, "remember/bn"))
    padded = tf.pad(memory, ((0, 0), (0, -rows % 4), (0, -columns % 4), (0, 0)))
    kernel = tf.reshape(weights["from_memory/kernel"], (-1, FEATURES))
    return memory, features + norm(tf.nn.space_to_depth(padded, 4) @ kernel, "bn")


@pytest.mark.parametrize("down", DOWN)
@pytest.mark.parametrize("training", [False, True])
def test_a_new_exchange_leaves_the_features_untouched(rng, down, training):
    """To the last bit; the branch's own map is another one already."""
    memory, features = (value.astype("float32") for value in _maps(rng, (21, 30), 1, 8))
    layer = SpaMExchange(CHANNELS, 1, 8, down)
    new_memory, new_features = layer(memory, features, training=training)
    np.testing.assert_array_equal(new_features, features)
    assert np.abs(new_memory - memory).max() > 0.1


@pytest.mark.parametrize("down", DOWN)
def test_features_agree_at_every_output_stride(rng, down):
    """The same weights at reductions 8, 16, 32: cells that two of them share get the same."""
    memory, dense = _maps(rng, (45, 70), 1, 8)
    layer = _make(rng, memory, dense, 1, 8, down)
    layer.to_memory.norm.gamma.assign(np.zeros(CHANNELS))  # what comes back depends on the stride
    expected = np.array(layer(memory, dense)[1])
    for factor in (2, 4):
        features = dense[:, ::factor, ::factor]
        coarse = SpaMExchange(CHANNELS, 1, 8 * factor, down)
        coarse.build(memory.shape, features.shape)
        coarse.set_weights(layer.get_weights())
        np.testing.assert_allclose(
            coarse(memory, features)[1], expected[:, ::factor, ::factor], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(("stride", "down"), zip((1, 2, 4), DOWN, strict=True))
def test_exchange_contract(rng, stride, down, tmp_path):
    """Run-time sizes, shapes, saving and dtype policies, for the branch as it is used."""
    images = keras.Input((None, None, FEATURES))
    branch = SpaMBranch(CHANNELS, stride, down)
    features = keras.layers.AveragePooling2D(8, padding="same")(images)
    model = keras.Model(images, branch.exchange(branch(images), features, 8))
    assert [output.shape[1:] for output in model.output] == [
        (None, None, CHANNELS),
        (None, None, FEATURES),
    ]
    randomize(model, rng)
    for size in ((16, 24), (21, 9)):
        x = rng.normal(size=(1, *size, FEATURES)).astype("float32")
        memory, features = (np.array(value) for value in model(x))
        assert memory.shape == (1, *(-(-length // stride) for length in size), CHANNELS)
        assert features.shape == (1, *(-(-length // 8) for length in size), FEATURES)
        for result, expected in zip(model.predict(x, verbose=0), (memory, features), strict=True):
            # float32 sums in another order: a few units in the last place.
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    layer = model.layers[-1]
    assert layer.compute_output_shape((1, 21, 9, 3), (1, 3, 2, 5)) == ((1, 21, 9, 3), (1, 3, 2, 5))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for result, expected in zip(loaded(x), model(x), strict=True):
        np.testing.assert_array_equal(result, expected)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        half = SpaMExchange(CHANNELS, stride, 8, down, dtype=policy)
        copy = SpaMExchange.from_config(half.get_config())
        for one in (half, copy):
            outputs = one(memory, features)
            assert {value.dtype.name for value in outputs} == {policy.removeprefix("mixed_")}
            assert all(weight.dtype == "float32" for weight in one.weights)


@pytest.mark.parametrize("stride", [1, 4])
def test_stem_contract(rng, stride, tmp_path):
    check_layer(lambda **kwargs: SpaMBranch(4, stride, **kwargs), rng, tmp_path=tmp_path)


def test_stem_is_its_convolutions(rng):
    x = rng.normal(size=(2, 13, 18, 3))
    for stride in (1, 2, 4):
        branch = SpaMBranch(4, stride)
        branch.build(x.shape)
        randomize(branch, rng)
        expected = x
        for conv in branch.convs:
            step = min(stride, 2)
            dense = atrous_convolution(expected, conv.conv.kernel)[:, ::step, ::step]
            expected = norm_relu(dense, conv.norm)
        np.testing.assert_allclose(branch(x), expected, rtol=1e-4, atol=1e-5)


def test_errors_name_the_argument():
    with pytest.raises(
        ValueError, match=r"`stride` must be one of \(1, 2, 4\). Received: stride=3"
    ):
        SpaMBranch(stride=3)
    with pytest.raises(ValueError, match="`down` must be one of .* Received: down='pool'"):
        SpaMBranch(down="pool")
    with pytest.raises(ValueError, match="`down` must be one of .* Received: down='pool'"):
        SpaMExchange(16, 1, 8, "pool")
    for reduction, block, stride in ((2, 8, 4), (12, 8, 1), (6, 8, 1)):
        with pytest.raises(ValueError, match=f"`reduction` must be .*reduction={reduction}"):
            SpaMExchange(16, stride, reduction, block=block)
