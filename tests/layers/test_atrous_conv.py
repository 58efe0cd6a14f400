import keras
import numpy as np
import pytest

from keras_ctxseg.layers.atrous_conv import AtrousConv2D, atrous_convolution

tf = pytest.importorskip("tensorflow")

# Odd, even and unequal sizes; rates within the map, as large as it, and beyond.
CASES = [
    ((9, 12), (3, 3), (2, 3)),
    ((7, 8), (3, 3), (6, 6)),
    ((7, 8), (3, 3), (7, 9)),
    ((11, 10), (5, 3), (4, 1)),
]


def numpy_convolution(x, kernel, rate):
    """The sum over taps, pixel by pixel, in float64."""
    batch, height, width, _ = x.shape
    rows, columns, _, filters = kernel.shape
    y = np.zeros((batch, height, width, filters))
    for i, j, row, column in np.ndindex(height, width, rows, columns):
        k = i + (row - rows // 2) * rate[0]
        m = j + (column - columns // 2) * rate[1]
        if 0 <= k < height and 0 <= m < width:
            y[:, i, j] += x[:, k, m] @ kernel[row, column]
    return y


@pytest.mark.parametrize(("size", "kernel_size", "rate"), CASES)
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "dynamic graph"])
def test_values_and_gradients(size, kernel_size, rate, graph):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, *size, 3))
    kernel = random.normal(size=(*kernel_size, 3, 4))
    upstream = random.normal(size=(2, *size, 4))

    def run(x, kernel, upstream):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = atrous_convolution(x, kernel, rate)
        return y, *tape.gradient(y, (x, kernel), upstream)

    if graph:
        maps = tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, None, None, 4))
        run = tf.function(run, input_signature=(maps[0], tf.TensorSpec(kernel.shape), maps[1]))
    arguments = [tf.constant(value, tf.float32) for value in (x, kernel, upstream)]
    y, gradient_x, gradient_kernel = run(*arguments)

    # float32 sums of at most 45 products of order 1 against float64.
    np.testing.assert_allclose(y, numpy_convolution(x, kernel, rate), atol=1e-4)
    # The convolution is linear in each argument: <dy, conv(x', k)> = <dx, x'>, and so for k.
    other_x, other_kernel = random.normal(size=x.shape), random.normal(size=kernel.shape)
    by_x = np.sum(upstream * numpy_convolution(other_x, kernel, rate))
    by_kernel = np.sum(upstream * numpy_convolution(x, other_kernel, rate))
    np.testing.assert_allclose(np.sum(gradient_x * other_x), by_x, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(
        np.sum(gradient_kernel * other_kernel), by_kernel, rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize(
    "options",
    [{"dilation_rate": 3}, {}, {"strides": 2}, {"dilation_rate": 2, "padding": "valid"}],
)
def test_the_layer_is_keras_convolution(options):
    options = {"filters": 5, "kernel_size": 3, "padding": "same", **options}
    layer, reference = AtrousConv2D(**options), keras.layers.Conv2D(**options)
    x = np.random.default_rng(0).normal(size=(2, 10, 13, 4)).astype("float32")
    layer.build(x.shape)
    reference.build(x.shape)
    reference.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(x), reference(x), atol=1e-5)
    assert layer.get_config().keys() == reference.get_config().keys()
