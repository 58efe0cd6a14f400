"""The consensus over a grid of rates against its equations, value and gradient."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import AtrousConsensus
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_layers import atrous_convolution, conv_norm_act, normalize

# Unequal by axis wherever two meet; 9 is beyond the height.
RATES = (1, 3, 9)
SIZE = (2, 7, 11, 5)
KINDS = [
    (consensus, share_kernel)
    for consensus in ("attention", "mean", "concat")
    for share_kernel in (True, False)
]


def _make(rng, consensus, share_kernel, form="auto"):
    layer = AtrousConsensus(
        8, RATES, branch_filters=3, consensus=consensus, share_kernel=share_kernel, form=form
    )
    layer.build(SIZE)
    randomize(layer, rng)
    return layer


def _expected(layer, inputs):
    """The docstring's equations, a branch at a time."""
    x = conv_norm_act(inputs, layer.reduce)
    maps = []
    for index, rate in enumerate(itertools.product(RATES, RATES)):
        if layer.share_kernel:
            kernel, norm = layer.kernel, layer.norms[index]
        else:
            kernel, norm = layer.branches[index].conv.kernel, layer.branches[index].norm
        maps.append(normalize(atrous_convolution(x, kernel, rate), norm))
    if layer.consensus == "concat":
        context = np.concatenate(maps, axis=-1)
    elif layer.consensus == "mean":
        context = np.mean(maps, axis=0)
    else:
        query = x @ np.asarray(layer.query.kernel)[0, 0] + np.asarray(layer.query.bias)
        scores = np.stack([np.sum(query * y, axis=-1) for y in maps]) / np.sqrt(3)
        attention = np.exp(scores) / np.sum(np.exp(scores), axis=0)
        context = np.sum(attention[..., None] * np.stack(maps), axis=0)
    context = atrous_convolution(context, layer.project.conv.kernel)
    return np.maximum(x + normalize(context, layer.project.norm), 0)


@pytest.mark.parametrize(("consensus", "share_kernel"), KINDS)
def test_it_is_its_equation(rng, consensus, share_kernel):
    x = rng.normal(size=SIZE)
    layer = _make(rng, consensus, share_kernel)
    # Sums of a few dozen float32 products of order one.
    np.testing.assert_allclose(layer(x), _expected(layer, x), rtol=1e-4, atol=1e-5)
    if share_kernel:
        for form in ("direct", "product"):
            layer.form = form
            np.testing.assert_allclose(layer(x), _expected(layer, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("consensus", "share_kernel", "form"),
    [(*kind, "product" if kind[1] else "auto") for kind in KINDS] + [("attention", True, "direct")],
)
def test_its_gradients_are_those_of_the_naive_form(rng, consensus, share_kernel, form):
    """Against explicit zero-filled kernels in float64, for the input and every weight."""
    x, upstream = rng.normal(size=SIZE), rng.normal(size=(*SIZE[:3], 8))
    layer = _make(rng, consensus, share_kernel, form)
    paths = [weight.path for weight in layer.trainable_weights]
    with tf.GradientTape() as tape:
        inputs = tf.constant(x, tf.float32)
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs) * tf.constant(upstream, tf.float32))
    values = [weight.value for weight in layer.trainable_weights]
    ours = tape.gradient(total, [inputs, *values])

    weights = {weight.path: tf.constant(np.array(weight, "float64")) for weight in layer.weights}
    with tf.GradientTape() as tape:
        inputs = tf.constant(x, tf.float64)
        tape.watch([inputs, *weights.values()])
        total = tf.reduce_sum(_naive(layer, inputs, weights) * upstream)
    expected = tape.gradient(total, [inputs, *(weights[path] for path in paths)])
    for path, mine, theirs in zip(["inputs", *paths], ours, expected, strict=True):
        # Sums over all positions and branches in float32, relative to the largest.
        error = np.abs(np.asarray(mine) - theirs).max() / np.abs(theirs).max()
        assert error < 1e-4, f"{path}: {error}"


def _naive(layer, inputs, weights):
    """The layer as a differentiable TensorFlow expression in float64, by dense kernels."""

    def of(part, name):
        return next(value for path, value in weights.items() if path.endswith(f"{part}/{name}"))

    def norm(x, part, epsilon=layer.project.norm.epsilon):
        scale = of(part, "gamma") / tf.sqrt(of(part, "moving_variance") + epsilon)
        return (x - of(part, "moving_mean")) * scale + of(part, "beta")

    x = tf.nn.relu(norm(inputs @ of("reduce/conv", "kernel")[0, 0], "reduce/bn"))
    maps = []
    for index, (rate_h, rate_w) in enumerate(itertools.product(RATES, RATES), start=1):
        if layer.share_kernel:
            kernel, part = of(layer.name, "kernel"), f"{layer.name}/bn{index}"
        else:
            kernel, part = of(f"branch{index}/conv", "kernel"), f"branch{index}/bn"
        rows = tf.one_hot([0, rate_h, 2 * rate_h], 2 * rate_h + 1, dtype=tf.float64)
        columns = tf.one_hot([0, rate_w, 2 * rate_w], 2 * rate_w + 1, dtype=tf.float64)
        filled = tf.einsum("abio,ah,bw->hwio", kernel, rows, columns)
        maps.append(norm(tf.nn.conv2d(x, filled, 1, "SAME"), part))
    stacked = tf.stack(maps, axis=3)
    if layer.consensus == "concat":
        context = tf.concat(maps, axis=-1)
    elif layer.consensus == "mean":
        context = tf.reduce_mean(stacked, axis=3)
    else:
        query = x @ of("query", "kernel")[0, 0] + of("query", "bias")
        scores = tf.einsum("bhwd,bhwnd->bhwn", query, stacked) / np.sqrt(3.0)
        context = tf.einsum("bhwn,bhwnd->bhwd", tf.nn.softmax(scores), stacked)
    return tf.nn.relu(x + norm(context @ of("project/conv", "kernel")[0, 0], "project/bn"))


@pytest.mark.parametrize(
    ("consensus", "share_kernel"), [("attention", True), ("mean", False), ("concat", True)]
)
def test_layer_contract(rng, consensus, share_kernel, tmp_path):
    def make_layer(**kwargs):
        return AtrousConsensus(4, (1, 20), consensus=consensus, share_kernel=share_kernel, **kwargs)

    check_layer(make_layer, rng, tmp_path=tmp_path)


def test_attention_depends_on_the_pixel_and_mean_does_not(rng):
    """With equal branches the attention is the mean; a query for one of them finds it."""
    layer = _make(rng, "attention", True)
    x = rng.normal(size=SIZE).astype("float32")
    mean = _make(rng, "mean", True)
    for weight, other in zip(
        mean.weights, [w for w in layer.weights if "query" not in w.path], strict=True
    ):
        weight.assign(other)
    layer.query.kernel.assign(tf.zeros_like(layer.query.kernel))
    layer.query.bias.assign(tf.zeros_like(layer.query.bias))
    np.testing.assert_allclose(layer(x), mean(x), rtol=1e-5, atol=1e-5)
    # A large bias along what only branch 5 has.
    for index, norm in enumerate(layer.norms, start=1):
        norm.gamma.assign(tf.zeros_like(norm.gamma))
        norm.beta.assign(tf.constant([1.0, 0.0, 0.0]) * (index == 5))
    layer.query.bias.assign([1e3, 0.0, 0.0])
    reduced = conv_norm_act(x, layer.reduce)
    only = np.zeros((1, 1, 1, 3))
    only[..., 0] = 1.0
    context = normalize(atrous_convolution(only, layer.project.conv.kernel), layer.project.norm)
    np.testing.assert_allclose(layer(x), np.maximum(reduced + context, 0), rtol=1e-4, atol=1e-5)


def test_large_scores_stay_finite_in_half_precision(rng):
    layer = AtrousConsensus(8, RATES, dtype="mixed_float16")
    layer.build(SIZE)
    for norm in layer.norms:
        norm.beta.assign(rng.normal(0, 30, norm.beta.shape))
    x = tf.constant(rng.normal(0, 30, SIZE), tf.float16)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32))
    assert np.isfinite(outputs).all()
    assert np.isfinite(tape.gradient(total, x)).all()


def test_parameter_counts_at_full_size():
    """Grid kernels: 9·filters·d shared, R² times that otherwise; nothing else depends on R but BN
    and, for concatenation, the projection."""
    counts = {}
    for consensus, share_kernel in KINDS:
        layer = AtrousConsensus(consensus=consensus, share_kernel=share_kernel)
        layer.build((None, 33, 33, 2048))
        counts[consensus, share_kernel] = sum(
            int(np.prod(weight.shape)) for weight in layer.trainable_weights
        )
    kernel = 9 * 256 * 64
    rest = 2048 * 256 + 2 * 256 + 16 * 2 * 64 + 64 * 256 + 2 * 256
    query = 256 * 64 + 64
    assert counts["mean", True] == kernel + rest
    assert counts["attention", True] == kernel + rest + query
    assert counts["attention", False] == 16 * kernel + rest + query
    assert counts["concat", True] == kernel + rest + 15 * 64 * 256


def test_rates_of_zero_read_the_target_pixel_only(rng):
    x = rng.normal(size=(1, 9, 9, 5)).astype("float32")
    other = x + rng.normal(size=x.shape).astype("float32")
    other[:, 4, 4] = x[:, 4, 4]
    for share_kernel in (True, False):
        layer = AtrousConsensus(8, (0, 0), share_kernel=share_kernel)
        plain = AtrousConsensus(8, (1, 2), share_kernel=share_kernel)
        plain.build(x.shape)
        result = np.array(layer(x))
        # Other sums in the same order, but on another map.
        np.testing.assert_allclose(np.array(layer(other))[:, 4, 4], result[:, 4, 4], rtol=1e-4)
        assert layer.count_params() == plain.count_params()


@pytest.mark.parametrize("rates", [(), (1, -1), (0, 3), (1.5,)])
def test_rates_that_do_not_fit(rates):
    with pytest.raises(ValueError, match="`rates` must be one or more integers .* Received: rates"):
        AtrousConsensus(rates=rates)


def test_unknown_consensus():
    with pytest.raises(ValueError, match="`consensus` must be one of .* Received: consensus='max'"):
        AtrousConsensus(consensus="max")
