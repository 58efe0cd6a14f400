"""Bilinear resizing by half-pixel centres, at static or run-time sizes, on every Keras backend."""

import keras
from keras import ops


def resize_bilinear(images, size):
    """Resizes by bilinear interpolation with half-pixel centres, without antialiasing.

    `keras.ops.image.resize` refuses run-time sizes in a TensorFlow graph, hence the backend's own
    call.

    Args:
        images: Float tensor `(batch, height, width, channels)`.
        size: `(new_height, new_width)`, integers or scalar integer tensors.

    Returns:
        Tensor `(batch, new_height, new_width, channels)` of the dtype of `images`.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.image.resize(images, size, interpolation="bilinear", antialias=False)
    import tensorflow as tf

    # tf.image.resize computes in, and returns, float32 whatever it is given.
    return tf.cast(tf.image.resize(images, size, method="bilinear"), images.dtype)


@keras.saving.register_keras_serializable("keras_ctxseg")
class ResizeLike(keras.layers.Layer):
    """Resizes a feature map bilinearly to another one's height and width (half-pixel centres).

    Call arguments:
        features: Tensor `(batch, h, w, channels)`.
        like: Tensor `(batch, height, width, any)`; only its size is used.

    Call returns:
        Tensor `(batch, height, width, channels)` of the layer's compute dtype.
    """

    def call(self, features, like):
        if features.shape[1:3] == like.shape[1:3] and None not in features.shape[1:3]:
            return features
        return resize_bilinear(features, tuple(ops.shape(like))[1:3])

    def compute_output_shape(self, features_shape, like_shape):
        return (features_shape[0], like_shape[1], like_shape[2], features_shape[3])
