"""Pooling with an atrous rate against its definition."""

import keras
import numpy as np
import pytest

from keras_ctxseg.layers import AtrousPooling2D
from tests.layers.layer_checks import check_layer


def _direct(x, pool_size, dilation, mode, extra_tap="before"):
    """Pixel by pixel in float64; taps outside the map do not count."""
    height, width = x.shape[1:3]
    result = np.empty(x.shape)
    begins = [taps // 2 if extra_tap == "before" else (taps - 1) // 2 for taps in pool_size]
    offsets = [
        [(tap - begin) * dilation for tap in range(taps)]
        for taps, begin in zip(pool_size, begins, strict=True)
    ]
    for row in range(height):
        for column in range(width):
            taps = [
                x[:, row + down, column + right].astype("float64")
                for down in offsets[0]
                for right in offsets[1]
                if 0 <= row + down < height and 0 <= column + right < width
            ]
            result[:, row, column] = np.max(taps, 0) if mode == "max" else np.mean(taps, 0)
    return result


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("extra_tap", ["before", "after"])
@pytest.mark.parametrize(("pool_size", "dilation"), [((3, 3), 2), ((2, 2), 2), ((2, 3), 5)])
def test_it_is_its_definition(rng, mode, pool_size, dilation, extra_tap):
    layer = AtrousPooling2D(pool_size, dilation, mode, extra_tap=extra_tap)
    for size in ((9, 12), (4, 7), (1, 3)):
        # All negative: zeros from outside would win every maximum.
        x = rng.normal(size=(2, *size, 3)).astype("float32") - 5
        expected = _direct(x, pool_size, dilation, mode, extra_tap)
        np.testing.assert_allclose(layer(x), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["max", "average"])
def test_valid_has_the_windows_inside(rng, mode):
    x = rng.normal(size=(2, 9, 12, 3)).astype("float32")
    found = AtrousPooling2D((3, 2), 2, mode, padding="valid")(x)
    assert found.shape == (2, 5, 10, 3)
    taps = [x[:, down : down + 5, right : right + 10] for down in (0, 2, 4) for right in (0, 2)]
    expected = np.max(taps, 0) if mode == "max" else np.mean(np.float64(taps), 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["max", "average"])
def test_rate_1_is_keras_own_pool(rng, mode):
    x = rng.normal(size=(2, 8, 11, 3)).astype("float32")
    kind = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}[mode]
    expected = kind(3, 1, padding="same")(x)
    np.testing.assert_allclose(AtrousPooling2D((3, 3), 1, mode)(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_as_a_layer(rng, tmp_path, mode, padding):
    def make(**kwargs):
        return AtrousPooling2D((3, 2), 2, mode, padding, **kwargs)

    check_layer(make, rng, tmp_path=tmp_path)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="`mode` must be 'max' or 'average'. Received: mode='min'"):
        AtrousPooling2D((3, 3), mode="min")
    with pytest.raises(ValueError, match="`extra_tap` must be 'before' or 'after'"):
        AtrousPooling2D((3, 3), extra_tap="left")
    with pytest.raises(ValueError, match="`padding` must be 'same' or 'valid'"):
        AtrousPooling2D((3, 3), padding="reflect")
    with pytest.raises(ValueError, match="`dilation` must be at least 1. Received: dilation=0"):
        AtrousPooling2D((3, 3), 0)
