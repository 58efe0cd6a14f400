"""Atrous convolutions computed where they are: no rearranged copies of the feature map."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ctxseg")
class AtrousConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, faster on TensorFlow when dilated.

    `tf.nn.convolution`, which Keras calls, turns a dilated convolution into many small dense ones
    on a rearranged, padded map. The convolution's own `dilations` cost less: two to ten times at
    the rates of ASPP on a CPU, as taps in the padding are not computed at all.
    """

    def convolution_op(self, inputs, kernel):
        plain = self.strides == (1, 1) and self.padding == "same" and self.groups == 1
        if plain and max(self.dilation_rate) > 1:
            return atrous_convolution(inputs, kernel, self.dilation_rate)
        return super().convolution_op(inputs, kernel)


def atrous_convolution(inputs, kernel, rate):
    """Convolution of stride 1, zero-padded to the input's size.

    Args:
        inputs: `(batch, height, width, channels)`.
        kernel: `(rows, columns, channels, filters)`, odd numbers of rows and columns.
        rate: Atrous rates `(height, width)`, at least 1.

    Returns:
        `(batch, height, width, filters)`.
    """
    rate = tuple(rate)
    if keras.backend.backend() != "tensorflow":
        return ops.conv(inputs, kernel, padding="same", dilation_rate=rate)
    return _on_tensorflow(inputs, kernel, rate)


def _on_tensorflow(inputs, kernel, rate):
    import tensorflow as tf

    def convolve(x, weights):
        return tf.nn.conv2d(x, weights, strides=1, padding="SAME", dilations=rate)

    # TensorFlow's own gradient of a dilated convolution needs oneDNN on a CPU; this one does not.
    @tf.custom_gradient
    def forward(x, weights):
        def backward(upstream):
            flipped = tf.transpose(tf.reverse(weights, axis=(0, 1)), (0, 1, 3, 2))
            return convolve(upstream, flipped), _kernel_gradient(x, weights.shape, upstream, rate)

        return convolve(x, weights), backward

    # Read first: a custom gradient takes no variables.
    return forward(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))


def _kernel_gradient(x, shape, upstream, rate):
    """For each tap the product of what it read with the gradient where it was read for."""
    import tensorflow as tf

    rows, columns, channels, filters = shape
    height, width = tf.unstack(tf.shape(x)[1:3])
    gradients = []
    for row in range(rows):
        for column in range(columns):
            # Beyond the map's size a tap reads nothing, and the slices are empty.
            down = tf.clip_by_value((row - rows // 2) * rate[0], -height, height)
            right = tf.clip_by_value((column - columns // 2) * rate[1], -width, width)
            read = _overlap(x, down, right)
            read_for = _overlap(upstream, -down, -right)
            gradients.append(
                tf.matmul(
                    tf.reshape(read, (-1, channels)),
                    tf.reshape(read_for, (-1, filters)),
                    transpose_a=True,
                )
            )
    return tf.reshape(tf.stack(gradients), shape)


def _overlap(x, down, right):
    """The part of `x` that is left inside when the map is moved over it by (down, right)."""
    import tensorflow as tf

    height, width = tf.unstack(tf.shape(x)[1:3])
    top, left = tf.maximum(down, 0), tf.maximum(right, 0)
    return x[:, top : height + tf.minimum(down, 0), left : width + tf.minimum(right, 0)]
