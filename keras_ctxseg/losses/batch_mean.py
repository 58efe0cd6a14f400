"""From a weighted sum and its count to the loss of the global batch."""

from __future__ import annotations

import keras
from keras import ops


def batch_mean(total, count):
    """The mean over the global batch, as the share that this replica adds to the loss of the step.

    Sum and count run over the images of *all* replicas, so neither value nor gradient depends on
    how the images, or the ignored pixels in them, are spread over replicas. Keras adds up the
    gradients of the replicas and multiplies what it logs by their number; hence the value of each
    is the global mean divided by that number, its gradient that of its own sum divided by the
    global count.

    Args:
        total: weighted sum of this replica's losses, float scalar.
        count: sum of this replica's weights, float scalar. Where it is 0 on all replicas, the
            result and its gradient are 0.

    Returns:
        Float scalar. Without `tf.distribute` simply `total / count`.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.divide_no_nan(total, count)
    from keras_ctxseg.distribution.collectives import all_reduce_sum, number_of_replicas

    replicas = number_of_replicas()
    if replicas == 1:
        return ops.divide_no_nan(total, count)
    global_total, global_count = all_reduce_sum(
        [ops.stop_gradient(total), ops.stop_gradient(count)]
    )
    share = ops.divide_no_nan(total, global_count)
    value = ops.divide_no_nan(global_total, global_count) / replicas
    # The value of the first, the gradient of the second term, which is 0 to the last bit.
    return value + (share - ops.stop_gradient(share))
