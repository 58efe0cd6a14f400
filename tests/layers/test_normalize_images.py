"""Image normalisation against the published statistics."""

import numpy as np
import pytest

from keras_ctxseg.layers import NormalizeImages
from keras_ctxseg.layers.normalize_images import NORMALIZATIONS


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        # torchvision's, in 0 ... 1.
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        # To -1 ... 1.
        ("centred", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        # keras.applications' "caffe" mode, in RGB; it does not scale.
        ("caffe", np.array([123.68, 116.779, 103.939]) / 255, np.full(3, 1 / 255)),
    ],
)
def test_named_statistics_are_the_published_ones(rng, name, mean, std):
    images = rng.uniform(0, 255, (2, 3, 4, 3))
    expected = (images / 255 - np.array(mean)) / np.array(std)
    layer = NormalizeImages(*NORMALIZATIONS[name])
    # Float32 rounding of values up to 255.
    np.testing.assert_allclose(layer(images), expected, rtol=1e-5, atol=1e-4)
