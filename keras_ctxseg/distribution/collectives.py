"""Sums over the replicas of a `tf.distribute` strategy; TensorFlow only, imported where used."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def number_of_replicas() -> int:
    """Replicas that run the current step together; 1 outside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def all_reduce_sum(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Each tensor summed over all replicas; the same values on every one of them.

    Has to be called by all replicas in the same order, hence never inside a condition that they
    may decide differently. Unchanged where there is one replica.
    """
    tensors = list(tensors)
    if number_of_replicas() == 1:
        return tensors
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
