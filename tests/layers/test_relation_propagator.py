"""One step of the RSP head against its equation in float64."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.layers import RelationPropagator
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_layers import atrous_convolution, conv_norm_act, norm_relu
from tests.layers.numpy_relation import relation_of


def separable(x, layer):
    """A `SeparableConvNormAct` layer with its weights."""
    kernel = np.asarray(layer.depthwise.conv.kernel, "float64")[..., 0]
    diagonal = kernel[..., None] * np.eye(kernel.shape[-1])
    x = norm_relu(atrous_convolution(x, diagonal), layer.depthwise.norm)
    return conv_norm_act(x, layer.pointwise)


def conv_norm(x, layer):
    """A `ConvNormAct` layer of 1×1 and without activation, with its weights."""
    norm = layer.norm
    x = x @ np.asarray(layer.conv.kernel, "float64")[0, 0]
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    return (x - np.asarray(norm.moving_mean)) * scale + np.asarray(norm.beta)


def propagate(layer, low, coarse):
    """A `RelationPropagator` layer with its weights."""
    maps = [low, coarse]
    if layer.normalize:
        maps = [
            (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-3)
            for x in map(np.asarray, maps)
        ]
    context = conv_norm(relation_of(layer.extract, *maps), layer.project)
    return separable(low + context, layer.fuse)


def _layer_and_maps(rng, scale=2, low_size=(9, 7), coarse_size=(5, 4), normalize=True):
    low, coarse = rng.normal(size=(2, *low_size, 5)), rng.normal(size=(2, *coarse_size, 3))
    layer = RelationPropagator(
        6, window=3, heads=2, scale=scale, normalize=normalize, dtype="float64"
    )
    layer.build(low.shape, coarse.shape)
    randomize(layer, rng)
    return layer, low, coarse


@pytest.mark.parametrize(
    ("scale", "low_size", "coarse_size"),
    [(2, (9, 7), (5, 4)), (2, (8, 6), (4, 3)), (1, (4, 5), (4, 5))],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_is_its_equation(rng, scale, low_size, coarse_size, normalize):
    layer, low, coarse = _layer_and_maps(rng, scale, low_size, coarse_size, normalize)
    result = layer(low, coarse)
    assert result.shape == layer.compute_output_shape(low.shape, coarse.shape)
    # BatchNormalization and its epsilon may be rounded to float32 on the way.
    np.testing.assert_allclose(result, propagate(layer, low, coarse), rtol=1e-6, atol=1e-7)


def test_gradient_equals_finite_differences(rng):
    layer, *maps = _layer_and_maps(rng)
    upstream = rng.normal(size=(2, 9, 7, 6))
    maps = [tf.constant(x) for x in maps]
    weights = layer.trainable_weights
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(layer(*maps) * upstream)
    gradients = tape.gradient(total, [*maps, *(weight.value for weight in weights)])

    step = 1e-6
    for index, x in enumerate(maps):
        direction = rng.normal(size=x.shape)
        slope = (gradients[index].numpy() * direction).sum()
        ahead, behind = (
            (propagate(layer, *maps[:index], x + sign * step * direction, *maps[index + 1 :]))
            for sign in (1, -1)
        )
        expected = ((ahead - behind) * upstream).sum() / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-4, err_msg=f"map {index}")
    for weight, gradient in zip(weights, gradients[2:], strict=True):
        before, direction = np.array(weight), rng.normal(size=weight.shape)
        sums = []
        for sign in (1, -1):
            weight.assign(before + sign * step * direction)
            sums.append((propagate(layer, *maps) * upstream).sum())
        weight.assign(before)
        expected = (sums[0] - sums[1]) / (2 * step)
        slope = (np.array(gradient) * direction).sum()
        np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5, err_msg=weight.path)


def test_layer_contract(rng, tmp_path):
    check_layer(
        lambda **kwargs: RelationPropagator(8, window=3, heads=4, **kwargs),
        rng,
        tmp_path=tmp_path,
        others=[(5, 7, 10)],
    )
