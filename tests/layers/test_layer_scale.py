"""A learned factor for each channel."""

import numpy as np

from keras_ctxseg.layers import LayerScale
from tests.layers.layer_checks import check_layer


def test_it_multiplies_each_channel(rng, tmp_path):
    check_layer(lambda **kwargs: LayerScale(0.5, **kwargs), rng, tmp_path=tmp_path)
    x = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    layer = LayerScale()
    np.testing.assert_allclose(layer(x), 1e-6 * x, rtol=1e-6)
    layer.gamma.assign([2.0, 0.0, -1.0])
    np.testing.assert_array_equal(layer(x), x * np.float32([2, 0, -1]))
    assert layer.gamma.path.endswith("/gamma")
