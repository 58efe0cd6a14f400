"""Sizes derived from the papers' definitions and from tf-models' implementation."""

import numpy as np
import pytest

import keras_ctxseg as ctx


def _trainable(name, **options):
    model = ctx.models.build(name, 21, **options)
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("name", "stem", "millions"),
    [
        pytest.param("deeplabv3_resnet50", "deep", 39.172, marks=pytest.mark.whole),
        ("deeplabv3plus_resnet50", "deep", 40.476),
        ("deeplabv3_resnet50", "7x7", 39.049),
        pytest.param("deeplabv3plus_resnet50", "7x7", 40.352, marks=pytest.mark.whole),
    ],
)
def test_deeplab_resnet50(name, stem, millions):
    assert round(_trainable(name, stem=stem) / 1e6, 3) == millions


def test_ksac_mobilenet_v2_saves_a_third():
    """33 % fewer parameters is what the paper states; the decoder decides where in 31 to 33 %."""
    plain = 1 - _trainable("ksac_mobilenet_v2", decoder=False) / _trainable(
        "deeplabv3_mobilenet_v2"
    )
    separable = 1 - _trainable("ksac_mobilenet_v2") / _trainable(
        "deeplabv3plus_mobilenet_v2", separable_decoder=True
    )
    assert 0.323 <= plain <= 0.328
    assert 0.313 <= separable <= 0.318


@pytest.mark.whole
def test_ksac_xception65_saves_what_the_kernels_weigh():
    aspp = _trainable("deeplabv3plus_xception65", separable_decoder=True)
    assert aspp - _trainable("ksac_xception65") == 2 * 9 * 2048 * 256


@pytest.mark.parametrize(
    "rates", [pytest.param((6, 12, 18), marks=pytest.mark.whole), (6, 12, 18, 24)]
)
def test_a_further_rate_costs_ksac_no_kernel(rates):
    aspp = _trainable("deeplabv3_mobilenet_v2", rates=rates)
    ksac = _trainable("ksac_mobilenet_v2", rates=rates, decoder=False)
    assert aspp - ksac == (len(rates) - 1) * 9 * 320 * 256
