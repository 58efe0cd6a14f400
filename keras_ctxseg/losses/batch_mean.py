"""From a weighted sum and its count to the loss of a batch, on one replica or on several."""

from __future__ import annotations

import keras
from keras import ops


def batch_mean(total, count):
    """`total / count` as the share that this replica adds to the loss of the step.

    Keras adds up the gradients of all replicas, hence each replica's mean is divided by their
    number. Sum and count arrive apart on purpose: this is the one place that has to change for a
    mean over the pixels of *all* replicas.

    Args:
        total: weighted sum of the pixel losses, float scalar.
        count: sum of the weights, float scalar; where it is 0 the result and its gradient are 0.

    Returns:
        Float scalar.
    """
    return ops.divide_no_nan(total, count) / _number_of_replicas()


def _number_of_replicas() -> int:
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
