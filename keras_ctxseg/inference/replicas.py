"""The network's plain pass over a batch, its images spread over the replicas of a strategy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ctxseg.inference.predictor import Prediction, Predictor


def on_replicas(predictor: Predictor) -> Callable[..., Prediction]:
    """`predictor`, on all replicas of the strategy that its model was built under.

    Every worker has to call it with the same images, and gets the predictions for all of them. A
    batch that does not split evenly is filled up with black images, whose predictions are dropped.
    Predictions in windows, at several scales or mirrored stay on each worker's first device.
    """
    model, protocol = predictor.model, predictor.protocol
    if not protocol.is_plain or not getattr(model, "is_replicated", False):
        return predictor
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync

    def step(images, size):
        labels, confidence, finite = predictor.passes.plain_labels(images, size)
        return labels, confidence, tf.cast(finite, tf.int32)  # Collectives know no bool.

    @tf.function(autograph=False, reduce_retracing=True)
    def labels_of(parts, size):
        labels, confidence, finite = strategy.run(step, args=(parts, size))
        return [strategy.gather(output, axis=0) for output in (labels, confidence, finite)]

    def predict(images: np.ndarray, size: tuple[int, int] | None = None) -> Prediction:
        images, size = predictor.checked(images, size)
        count = len(images)
        part = -(-count // replicas)
        missing = np.zeros((part * replicas - count, *images.shape[1:]), np.float32)
        stacked = np.concatenate([np.asarray(images, np.float32), missing])

        def own_part(context):
            first = context.replica_id_in_sync_group * part
            return tf.constant(stacked[first : first + part])

        parts = strategy.experimental_distribute_values_from_function(own_part)
        outputs = labels_of(parts, tf.constant(size, tf.int32))
        labels, confidence, finite = (output[:count].numpy() for output in outputs)
        return Prediction(labels, confidence, finite.astype(bool))

    return predict
