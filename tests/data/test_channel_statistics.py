"""Mean and deviation of channels, against NumPy's over all pixels at once."""

import numpy as np
import pytest

from keras_ctxseg.data import measure_normalization


def test_over_all_pixels_of_images_of_any_size(rng):
    scale = [1.0, 100.0, 1e-3, 7.0]
    images = [
        rng.normal(1e4, scale, (height, width, 4)).astype("float32")
        for height, width in ((5, 9), (40, 1), (3, 3))
    ]
    pixels = np.concatenate([image.reshape(-1, 4).astype("float64") for image in images])
    found = measure_normalization(iter(images))
    np.testing.assert_allclose(found["mean"], pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["std"], pixels.std(axis=0), rtol=1e-9)


def test_what_cannot_be_measured_is_named(rng):
    with pytest.raises(ValueError, match="at least one image"):
        measure_normalization([])
    with pytest.raises(ValueError, match="must all have 3 channels. Received: 4"):
        measure_normalization([rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 2, 4))])
    image = rng.normal(size=(4, 4, 3))
    image[..., 1] = 5
    with pytest.raises(ValueError, match="a constant channel, number 1"):
        measure_normalization([image])
