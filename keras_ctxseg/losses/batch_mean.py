"""From sums over the pixels of one replica to the loss of the global batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import ops


def of_global_sums(function: Callable, sums: Sequence):
    """`function` of sums over the global batch, as this replica's share of the step's loss.

    The sums run over the images of *all* replicas, so neither value nor gradient depends on how the
    images, or the ignored pixels in them, are spread over replicas. Keras adds up the gradients of
    the replicas and multiplies what it logs by their number. So the value here is the global one
    divided by that number, and the gradient is that of the global one by this replica's sums.

    Args:
        function: takes the sums and returns a float scalar.
        sums: float tensors, this replica's sums.

    Returns:
        Float scalar. Without `tf.distribute` simply `function(*sums)`.
    """
    if keras.backend.backend() != "tensorflow":
        return function(*sums)
    from keras_ctxseg.distribution.collectives import all_reduce_sum, number_of_replicas

    replicas = number_of_replicas()
    if replicas == 1:
        return function(*sums)
    totals = all_reduce_sum([ops.stop_gradient(part) for part in sums])
    # The value of the total and the gradient of the part; the difference is 0 to the last bit.
    value = function(
        *(
            total + (part - ops.stop_gradient(part))
            for total, part in zip(totals, sums, strict=True)
        )
    )
    return ops.stop_gradient(value) / replicas + (value - ops.stop_gradient(value))


def batch_mean(total, count):
    """`total / count` over the global batch, as `of_global_sums` shares it.

    Args:
        total: weighted sum of this replica's losses, float scalar.
        count: sum of this replica's weights, float scalar. Where it is 0 on all replicas, the
            result and its gradient are 0.
    """
    return of_global_sums(ops.divide_no_nan, [total, count])
