"""The relation of pixels to regions against a loop over pixels in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import RelationalSemanticsExtractor, rearrangement
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_relation import relate, relation_of, relation_weights

# Fine size, coarse size, scale: exact doubles, rounded up, rounded down (the last pixels have no
# cell of their own), one cell to spare, one size, another scale, a window larger than the map.
SIZES = [
    ((12, 8), (6, 4), 2),
    ((13, 9), (7, 5), 2),
    ((15, 8), (7, 5), 2),
    ((12, 7), (7, 3), 2),
    ((5, 4), (5, 4), 1),
    ((11, 5), (4, 2), 3),
    ((2, 1), (1, 1), 2),
]


def _layer_and_maps(rng, low_size, coarse_size, scale, window=5, heads=2, dtype="float64"):
    low, coarse = rng.normal(size=(2, *low_size, 5)), rng.normal(size=(2, *coarse_size, 3))
    layer = RelationalSemanticsExtractor(6, window, heads, scale, dtype=dtype)
    layer.build(low.shape, coarse.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer, low, coarse


@pytest.mark.parametrize(("window", "heads"), [(5, 2), (3, 3), (1, 1), (7, 1)])
@pytest.mark.parametrize(("low_size", "coarse_size", "scale"), SIZES)
def test_equals_a_loop_over_pixels(rng, low_size, coarse_size, scale, window, heads):
    layer, low, coarse = _layer_and_maps(rng, low_size, coarse_size, scale, window, heads)
    # Both in float64.
    np.testing.assert_allclose(
        layer(low, coarse), relation_of(layer, low, coarse), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize(("low_size", "coarse_size", "scale"), SIZES)
def test_gradient_equals_finite_differences(rng, low_size, coarse_size, scale):
    layer, low, coarse = _layer_and_maps(rng, low_size, coarse_size, scale, window=3)
    upstream = rng.normal(size=(2, *low_size, 6))
    weights = relation_weights(layer)
    values = {"low": low, "coarse": coarse, **weights}
    sources = [tf.constant(low), tf.constant(coarse)]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        total = tf.reduce_sum(layer(*sources) * upstream)
    kernels = [weight.value for weight in (layer.query.kernel, layer.key.kernel)]
    kernels += [layer.value.kernel.value, layer.embedding.value]
    gradients = tape.gradient(total, [*sources, *kernels])

    step = 1e-6
    names = ("low", "coarse", "query", "key", "value", "embedding")
    for name, gradient in zip(names, gradients, strict=True):
        # Along a random direction, to which every entry of the gradient contributes.
        direction = rng.normal(size=values[name].shape)
        ahead, behind = (
            (relate(**{**values, name: values[name] + sign * step * direction}) * upstream).sum()
            for sign in (1, -1)
        )
        expected = (ahead - behind) / (2 * step)
        slope = (np.reshape(gradient, direction.shape) * direction).sum()
        # Central differences of a sum of order 10² lose about 1e-16 · 10² / step.
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_float32_in_a_graph_of_run_time_sizes(rng):
    layer = RelationalSemanticsExtractor(6, window=5, heads=2)
    low, coarse = keras.Input((None, None, 5)), keras.Input((None, None, 3))
    model = keras.Model([low, coarse], layer(low, coarse))
    assert model.output.shape == (None, None, None, 6)
    randomize(model, rng)
    for low_size, coarse_size, scale in SIZES:
        if scale != 2:
            continue
        maps = [rng.normal(size=(2, *low_size, 5)), rng.normal(size=(2, *coarse_size, 3))]
        np.testing.assert_allclose(
            model.predict(maps, verbose=0), relation_of(layer, *maps), rtol=1e-4, atol=1e-5
        )


def test_cells_outside_are_masked_and_not_zero(rng):
    """Weights sum to 1 over the cells inside, so a constant map comes through at the borders."""
    layer, low, _ = _layer_and_maps(rng, (13, 9), (7, 5), 2)
    coarse = np.broadcast_to(rng.normal(size=3), (2, 7, 5, 3))
    expected = coarse[:, :1, :1] @ np.array(layer.value.kernel)[0, 0]
    np.testing.assert_allclose(layer(low, coarse), np.tile(expected, (1, 13, 9, 1)), rtol=1e-10)


def test_a_pixel_sees_its_region_only(rng):
    layer, low, coarse = _layer_and_maps(rng, (26, 26), (13, 13), 2, window=5)
    before = np.array(layer(low, coarse))
    changed = coarse.copy()
    changed[:, 6, 4] += 1.0
    differs = (np.array(layer(low, changed)) != before).any(axis=(0, 3))
    expected = np.zeros((26, 26), bool)
    expected[2 * 4 : 2 * 9, 2 * 2 : 2 * 7] = True
    np.testing.assert_array_equal(differs, expected)


def test_a_window_wholly_outside_gives_zero(rng):
    """Rows 14 and 15 of 7 cells have cell 7, beyond which a window of 1 sees nothing."""
    for dtype in ("float64", "mixed_float16", "mixed_bfloat16"):
        layer, low, coarse = _layer_and_maps(rng, (16, 8), (7, 4), 2, window=1, dtype=dtype)
        context = np.array(layer(low, coarse), "float64")
        np.testing.assert_array_equal(context[:, 14:], 0)
        assert (np.abs(context[:, :14]).sum(axis=-1) > 0).all()


def _graph(layer, low_shape, coarse_shape, dtype="float32"):
    function = tf.function(lambda low, coarse: layer(low, coarse), autograph=False)
    return function.get_concrete_function(
        tf.TensorSpec(low_shape, dtype), tf.TensorSpec(coarse_shape, dtype)
    ).graph


def test_a_handful_of_operations_and_of_copies():
    filters, window, heads, blocks = 64, 5, 4, 4 * 3
    layer = RelationalSemanticsExtractor(filters, window, heads)
    operations = _graph(layer, (1, 13, 9, 8), (1, 7, 5, 8)).get_operations()
    assert not {"Gather", "GatherV2", "GatherNd", "ExtractImagePatches", "Where", "Einsum"} & {
        operation.type for operation in operations
    }
    assert len([operation for operation in operations if operation.type != "Const"]) < 150
    tensors = [tensor for operation in operations for tensor in operation.outputs]
    assert max(tensor.shape.rank for tensor in tensors) <= 5
    # 36 cells for each block of four: 9 for a cell, where windows of their own would be 25. The
    # logits of a block's 16 pixels in 4 heads are as many.
    largest = max(tensor.shape.num_elements() for tensor in tensors)
    assert largest == (window + 1) ** 2 * filters * blocks


@pytest.mark.parametrize(("low_size", "coarse_size", "scale"), SIZES)
def test_as_written_every_cell_is_a_block(rng, low_size, coarse_size, scale):
    layer, low, coarse = _layer_and_maps(rng, low_size, coarse_size, scale)
    with rearrangement("none"):
        context = layer(low, coarse)
        graph = _graph(layer, (1, *low.shape[1:]), (1, *coarse.shape[1:]), "float64")
    np.testing.assert_allclose(context, relation_of(layer, low, coarse), rtol=1e-10, atol=1e-12)
    cells = (-(-low_size[0] // scale)) * (-(-low_size[1] // scale))
    softmax = [operation for operation in graph.get_operations() if operation.type == "Softmax"]
    assert [tensor.shape.num_elements() for tensor in softmax[0].outputs] == [
        cells * scale**2 * layer.window**2 * layer.heads
    ]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_softmax_is_float32_under_mixed_precision(rng, policy):
    layer = RelationalSemanticsExtractor(8, heads=2, dtype=policy)
    graph = _graph(layer, (1, 13, 9, 8), (1, 7, 5, 8))
    softmax = [operation for operation in graph.get_operations() if operation.type == "Softmax"]
    assert {operation.inputs[0].dtype for operation in softmax} == {tf.float32}

    layer, low, coarse = _layer_and_maps(rng, (13, 9), (7, 5), 2, dtype=policy)
    # Logits of order one, so that rounding of inputs and products is what is left: three or four
    # roundings to 8 (bfloat16) or 11 bits, of values of order one.
    for weight in layer.weights:
        weight.assign(weight * 0.5)
    error = np.abs(np.array(layer(low, coarse), "float64") - relation_of(layer, low, coarse))
    assert error.max() < (0.08 if policy == "mixed_bfloat16" else 0.01)


def test_layer_contract(rng, tmp_path):
    check_layer(
        lambda **kwargs: RelationalSemanticsExtractor(8, window=3, heads=4, **kwargs),
        rng,
        tmp_path=tmp_path,
        others=[(5, 7, 10)],
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 4}, "`window` must be odd and positive. Received: window=4"),
        ({"scale": 0}, "`scale` must be at least 1. Received: scale=0"),
        (
            {"heads": 3},
            "`filters` must be a positive multiple of `heads`. Received: filters=8, heads=3",
        ),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        RelationalSemanticsExtractor(8, **options)


def test_maps_that_do_not_go_together():
    layer = RelationalSemanticsExtractor(8)
    with pytest.raises(ValueError, match=r"`coarse` must have 1/2 of .* Received: low \(1, 16, 8"):
        layer(np.zeros((1, 16, 8, 4)), np.zeros((1, 16, 4, 4)))
