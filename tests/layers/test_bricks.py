"""Resize, normalisation and the conv-norm-act bricks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg import layers
from tests.layers.layer_checks import check_layer, randomize
from tests.layers.numpy_layers import atrous_convolution, bilinear, norm_relu


@pytest.mark.parametrize("size", [(14, 9), (3, 4), (7, 11), (50, 1)])
def test_resize_is_half_pixel_bilinear(rng, size):
    x = rng.normal(size=(2, 7, 11, 3)).astype("float32")
    np.testing.assert_allclose(
        layers.resize_bilinear(tf.constant(x), size), bilinear(x, *size), rtol=1e-5, atol=1e-5
    )


def test_resize_like_at_run_time_sizes(rng):
    small, large = keras.Input((None, None, 3)), keras.Input((None, None, 1))
    model = keras.Model([small, large], layers.ResizeLike()(small, large))
    assert model.output.shape == (None, None, None, 3)
    x = rng.normal(size=(1, 5, 4, 3)).astype("float32")
    result = model.predict([x, np.zeros((1, 13, 9, 1), "float32")], verbose=0)
    np.testing.assert_allclose(result, bilinear(x, 13, 9), rtol=1e-5, atol=1e-5)


def test_normalize_images(rng):
    images = rng.uniform(0, 255, (2, 4, 5, 3))
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    result = layers.NormalizeImages(mean, std)(images)
    np.testing.assert_allclose(result, (images - mean) / np.array(std), rtol=1e-5, atol=1e-5)
    # Steps finer than bfloat16's own at 255 survive: the cast comes last.
    half = layers.NormalizeImages((255.0,) * 3, (1.0,) * 3, dtype="mixed_bfloat16")
    fine = half(np.full((1, 1, 1, 3), 254.75, "float32"))
    assert keras.backend.standardize_dtype(fine.dtype) == "bfloat16"
    np.testing.assert_array_equal(np.array(fine, "float32"), -0.25)


@pytest.mark.parametrize(("strides", "rate"), [(1, 1), (2, 1), (1, 2), (1, (1, 3))])
@pytest.mark.parametrize("size", [(8, 9), (9, 8)])
def test_strided_convolution_subsamples_the_unstrided_one(rng, strides, rate, size):
    x = rng.normal(size=(2, *size, 3))
    layer = layers.ConvNormAct(4, 3, strides=strides, dilation=rate)
    layer.build(x.shape)
    randomize(layer, rng)
    dense = norm_relu(atrous_convolution(x, layer.conv.kernel, rate), layer.norm)
    result = layer(x)
    assert result.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(result, dense[:, ::strides, ::strides], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("strides", "rate"), [(1, 1), (2, 1), (1, 2)])
def test_depthwise_convolution(rng, strides, rate):
    x = rng.normal(size=(2, 7, 9, 3))
    layer = layers.DepthwiseConvNormAct(strides=strides, dilation=rate)
    layer.build(x.shape)
    randomize(layer, rng)
    kernel = np.array(layer.conv.kernel)  # (3, 3, channels, 1)
    diagonal = np.zeros((3, 3, 3, 3))
    for channel in range(3):
        diagonal[:, :, channel, channel] = kernel[:, :, channel, 0]
    dense = norm_relu(atrous_convolution(x, diagonal, rate), layer.norm)
    np.testing.assert_allclose(layer(x), dense[:, ::strides, ::strides], rtol=1e-4, atol=1e-5)


def test_depthwise_starts_with_unit_gain(rng):
    """Keras' fan-in counts all channels, which would shrink a depthwise kernel."""
    layer = layers.DepthwiseConvNormAct()
    layer.build((None, 8, 8, 512))
    assert np.std(layer.conv.kernel) == pytest.approx(np.sqrt(2) / 3, rel=0.05)


@pytest.mark.parametrize(
    "make_layer",
    [
        lambda **kwargs: layers.ConvNormAct(4, 3, strides=2, **kwargs),
        lambda **kwargs: layers.ConvNormAct(4, 3, dilation=0, strides=2, **kwargs),
        lambda **kwargs: layers.DepthwiseConvNormAct(dilation=2, activation="relu6", **kwargs),
        lambda **kwargs: layers.DepthwiseConvNormAct(dilation=0, **kwargs),
        lambda **kwargs: layers.SeparableConvNormAct(4, dilation=2, **kwargs),
        lambda **kwargs: layers.ImagePooling(4, **kwargs),
        lambda **kwargs: layers.BatchNorm(**kwargs),
    ],
    ids=["conv", "collapsed", "depthwise", "collapsed_depthwise", "separable", "pooling", "norm"],
)
def test_layer_contract(rng, make_layer, tmp_path):
    check_layer(make_layer, rng, tmp_path=tmp_path)


def test_convolutions_at_rate_zero_have_bias_and_activation(rng):
    x = rng.normal(size=(2, 5, 7, 3))
    layer = layers.CollapsedConv2D(4, 3, strides=2, activation="tanh")
    depthwise = layers.CollapsedDepthwiseConv2D(3, depth_multiplier=2, activation="tanh")
    for each in (layer, depthwise):
        each.build(x.shape)
        randomize(each, rng)
        assert each(x).shape == each.compute_output_shape(x.shape)
    expected = x[:, ::2, ::2] @ np.sum(layer.kernel, axis=(0, 1)) + layer.bias
    np.testing.assert_allclose(layer(x), np.tanh(expected), rtol=1e-4, atol=1e-5)
    taps = np.sum(depthwise.kernel, axis=(0, 1))  # (channels, multiplier)
    expected = (x[..., None] * taps).reshape(2, 5, 7, 6) + depthwise.bias
    np.testing.assert_allclose(depthwise(x), np.tanh(expected), rtol=1e-4, atol=1e-5)


def test_files_that_list_what_had_no_effect_still_load():
    kept = {"filters": 4, "kernel_size": 3}
    gone = {"padding": "valid", "dilation_rate": (1, 1), "groups": 1, "data_format": None}
    layer = layers.CollapsedConv2D.from_config(kept | gone)
    assert not gone.keys() & layer.get_config().keys()
    pyramid = layers.SharedKernelASPP.from_config({"filters": 4, "separable": True})
    assert pyramid.filters == 4 and "separable" not in pyramid.get_config()


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="`kernel_size` must be odd. Received: kernel_size=2"):
        layers.ConvNormAct(4, 2)
