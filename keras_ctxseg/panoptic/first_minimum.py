"""Where the smallest value of a row stands."""

import keras
from keras import ops


def first_minimum(x):
    """Index of the smallest value along the last axis, int32; of equal ones any.

    `keras.ops.argmin` first makes up for the sign of zero, in passes that take longer than the
    search.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.cast(ops.argmin(x, axis=-1), "int32")
    import tensorflow as tf

    return tf.argmin(x, axis=-1, output_type=tf.int32)
