"""ASPP and its shared-kernel form against their equations in float64."""

import numpy as np
import pytest

from keras_ctxseg.layers import ASPP, SharedKernelASPP
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_layers import atrous_convolution, conv_norm_act, norm_relu

RATES = (1, 2, 5)
# Sums of a few dozen float32 products of order one.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def _pooled(layer, x):
    mean = x.mean(axis=(1, 2), keepdims=True)
    return np.broadcast_to(
        conv_norm_act(mean, layer.pooling.project), (*x.shape[:3], layer.filters)
    )


def _expected(layer, x, by_rate, fusion="concat"):
    pointwise, pooled = conv_norm_act(x, layer.pointwise), _pooled(layer, x)
    if fusion == "concat":
        fused = np.concatenate([pointwise, *by_rate, pooled], axis=-1)
    elif fusion == "sum_rates":
        fused = np.concatenate([pointwise, sum(by_rate), pooled], axis=-1)
    else:
        fused = pointwise + sum(by_rate) + pooled
    return conv_norm_act(fused, layer.project)


def test_aspp_is_its_equation(rng):
    x = rng.normal(size=(2, 7, 11, 5))
    layer = ASPP(filters=4, rates=RATES)
    layer.build(x.shape)
    randomize(layer, rng)
    by_rate = [
        conv_norm_act(x, branch, rate) for branch, rate in zip(layer.atrous, RATES, strict=True)
    ]
    np.testing.assert_allclose(layer(x), _expected(layer, x, by_rate), **TOLERANCE)


@pytest.mark.parametrize("form", ["direct", "product"])
@pytest.mark.parametrize("fusion", ["concat", "sum_rates", "sum_all"])
def test_shared_kernel_aspp_is_its_equation(rng, form, fusion):
    x = rng.normal(size=(2, 7, 11, 5))
    layer = SharedKernelASPP(filters=4, rates=RATES, fusion=fusion, form=form)
    layer.build(x.shape)
    randomize(layer, rng)
    by_rate = [
        norm_relu(atrous_convolution(x, layer.shared.kernel, rate), norm)
        for norm, rate in zip(layer.norms, RATES, strict=True)
    ]
    np.testing.assert_allclose(layer(x), _expected(layer, x, by_rate, fusion), **TOLERANCE)


@pytest.mark.parametrize("layer_class", [ASPP, SharedKernelASPP])
def test_layer_contract(rng, layer_class, tmp_path):
    check_layer(lambda **kwargs: layer_class(4, (1, 2, 20), **kwargs), rng, tmp_path=tmp_path)


@pytest.mark.parametrize("rates", [(6, 12, 18), (6, 12, 18, 24)])
def test_parameter_counts_at_full_size(rates):
    """Kernels before projection: I·C·(2 + 9n) for ASPP, I·C·11 for the shared kernel."""
    channels, filters = 2048, 256
    counts = {}
    for layer_class in (ASPP, SharedKernelASPP):
        layer = layer_class(filters, rates)
        layer.build((None, 33, 33, channels))
        counts[layer_class] = sum(
            int(np.prod(weight.shape))
            for weight in layer.trainable_weights
            if weight.name == "kernel" and weight.shape[-2] == channels
        )
    assert counts[ASPP] == channels * filters * (2 + 9 * len(rates))
    assert counts[SharedKernelASPP] == channels * filters * 11
    if len(rates) == 3:
        assert counts == {ASPP: 15_204_352, SharedKernelASPP: 5_767_168}


def test_rates_of_zero_read_the_target_pixel_only(rng):
    x = rng.normal(size=(1, 9, 9, 5)).astype("float32")
    other = x + rng.normal(size=x.shape).astype("float32")
    other[:, 4, 4] = x[:, 4, 4]
    for layer_class in (ASPP, SharedKernelASPP):
        layer = layer_class(filters=4, rates=(0, 0, 0))
        plain = layer_class(filters=4, rates=(1, 2, 3))
        plain.build(x.shape)
        result = np.array(layer(x))
        np.testing.assert_allclose(np.array(layer(other))[:, 4, 4], result[:, 4, 4], rtol=1e-5)
        assert layer.count_params() == plain.count_params()


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"`rates` must be .* Received: rates=\(\)"):
        ASPP(rates=())
    with pytest.raises(ValueError, match="`fusion` must be one of .* Received: fusion='max'"):
        SharedKernelASPP(fusion="max")
