"""Sums over all replicas, and what batch normalisation needs of them; TensorFlow only."""

from __future__ import annotations

from collections.abc import Sequence

import keras
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


def gather_columns(*matrices: tf.Tensor) -> tuple:
    """The columns of all replicas side by side, and where this replica's stand among them.

    Args:
        matrices: (rows, columns), of as many columns; gradients do not pass.

    Returns:
        Each matrix with the columns of all replicas, and a slice.
    """
    if number_of_replicas() == 1:
        return (*matrices, slice(None))
    context = tf.distribute.get_replica_context()
    columns = tf.shape(matrices[0])[1]
    counts = context.all_gather(columns[None], axis=0)
    number = context.replica_id_in_sync_group
    start = tf.reduce_sum(counts[:number])
    gathered = (context.all_gather(tf.stop_gradient(one), axis=1) for one in matrices)
    return (*gathered, slice(start, start + columns))


def synchronized_batch_norm(
    inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, shift: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalises over all axes but the last, and over the replicas.

    One sum of 2 C + 1 numbers over the replicas forward, one of 2 C backward.

    Args:
        inputs: (..., C), any float; statistics are float32.
        gamma, beta: (C,) float32, scale and offset.
        shift: (C,) float32, the same on all replicas, near the mean if possible: replicas add up
            squares of distances from it, and small ones are exact.
        epsilon: added to the variance.

    Returns:
        The normalised inputs in their dtype, the mean and the unbiased variance, float32 (C,).
    """
    axes = list(range(inputs.shape.rank - 1))

    @tf.custom_gradient
    def normalize(inputs, gamma, beta):
        x = tf.cast(inputs, tf.float32)
        local_count = tf.cast(tf.size(inputs), tf.float32) / inputs.shape[-1]
        local_mean, local_variance = tf.nn.moments(x, axes)
        distance = local_mean - shift
        sums = local_count * tf.concat([distance, local_variance + tf.square(distance)], axis=0)
        (sums,) = all_reduce_sum([tf.concat([sums, local_count[None]], axis=0)])
        count = sums[-1]
        distance, squares = tf.split(sums[:-1] / count, 2)
        mean = shift + distance
        variance = tf.maximum(squares - tf.square(distance), 0.0)
        inverse = tf.math.rsqrt(variance + epsilon)
        outputs = tf.cast((x - mean) * (inverse * gamma) + beta, inputs.dtype)

        def gradient(upstream, _mean, _variance):
            upstream = tf.cast(upstream, tf.float32)
            normalized = (tf.cast(inputs, tf.float32) - mean) * inverse
            local_beta = tf.reduce_sum(upstream, axes)
            local_gamma = tf.reduce_sum(upstream * normalized, axes)
            (sums,) = all_reduce_sum([tf.concat([local_beta, local_gamma], axis=0)])
            mean_upstream, mean_product = tf.split(sums / count, 2)
            centred = upstream - mean_upstream - normalized * mean_product
            # Gradients of variables are this replica's: the optimizer adds the replicas up.
            return tf.cast(centred * (gamma * inverse), inputs.dtype), local_gamma, local_beta

        unbiased = variance * count / tf.maximum(count - 1.0, 1.0)
        return (outputs, mean, unbiased), gradient

    return normalize(inputs, gamma, beta)


def agree_on_statistics(model: keras.Model) -> None:
    """Averages the moving statistics over the replicas, where each kept its own.

    Synchronised batch normalisation has the same ones everywhere, and needs nothing. To be called
    by all workers, outside a step.
    """
    variables = [
        variable
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
        for variable in layer.non_trainable_variables
    ]
    strategy = model.distribute_strategy
    if not variables or strategy.num_replicas_in_sync == 1:
        return

    def average():
        context = tf.distribute.get_replica_context()
        means = context.all_reduce(
            # A variable's own tensor has no device in a graph, and the sum asks for it.
            tf.distribute.ReduceOp.MEAN,
            [tf.identity(variable) for variable in variables],
        )
        for variable, mean in zip(variables, means, strict=True):
            variable.assign(mean)

    tf.function(lambda: strategy.run(average), autograph=False)()
