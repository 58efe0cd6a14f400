"""One value for the moving averages of batch normalisation on all replicas; TensorFlow only."""

from __future__ import annotations

import keras
import tensorflow as tf


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
