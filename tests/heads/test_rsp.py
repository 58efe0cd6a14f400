"""The pyramid and the stack of relations against their equations in float64."""

import keras
import numpy as np
import pytest

from keras_ctxseg.heads import efficient_pyramid, rsp_head
from tests.layers.layer_checks import randomize
from tests.layers.numpy_layers import bilinear
from tests.layers.test_relation_propagator import conv_norm, propagate, separable

# Levels 4 and 5 of one size, as when the backbone dilates its last stage; odd sizes throughout.
SIZES = {2: (17, 13, 3), 3: (9, 7, 4), 4: (5, 4, 5), 5: (5, 4, 6)}
REDUCTIONS = {2: 4, 3: 8, 4: 16, 5: 16}


def _features(rng):
    return {level: rng.normal(size=(1, *shape)) for level, shape in SIZES.items()}


@pytest.mark.parametrize("run_time_sizes", [False, True])
def test_pyramid_is_its_equation(rng, run_time_sizes):
    inputs = {
        level: keras.Input((None, None, shape[-1]) if run_time_sizes else shape)
        for level, shape in SIZES.items()
    }
    pyramid = efficient_pyramid(inputs, 8)
    assert list(pyramid) == [5, 4, 3, 2]
    model = keras.Model(list(inputs.values()), list(pyramid.values()))
    randomize(model, rng)
    features = _features(rng)
    results = model([x.astype("float32") for x in features.values()])
    above = None
    for level, result in zip(pyramid, results, strict=True):
        x = conv_norm(features[level], model.get_layer(f"pyramid_lateral{level}"))
        if above is not None:
            x = x + bilinear(above, *x.shape[1:3])
        above = x
        expected = separable(x, model.get_layer(f"pyramid_smooth{level}"))
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_context_comes_down_level_by_level(rng):
    pyramid = {level: keras.Input((*shape[:2], 8)) for level, shape in SIZES.items()}
    model = keras.Model(
        list(pyramid.values()), rsp_head(pyramid, REDUCTIONS, filters=8, window=3, heads=2)
    )
    randomize(model, rng)
    maps = {level: rng.normal(size=(1, *shape[:2], 8)) for level, shape in SIZES.items()}
    result = model([x.astype("float32") for x in maps.values()])
    x = maps[5]
    for level, scale in ((4, 1), (3, 2), (2, 2)):
        layer = model.get_layer(f"rsp{level}")
        assert layer.scale == scale
        x = propagate(layer, maps[level], x)
    # float32 through three levels of relations and convolutions.
    np.testing.assert_allclose(result, x, rtol=1e-3, atol=1e-4)
