"""The steps of `fit`, `evaluate` and `predict` on several replicas; TensorFlow only.

Keras' own fail with several workers and with `steps_per_execution` on several replicas, and count
an uneven evaluation batch wrongly or crash on it. The functions here stand in for the private
methods of `keras.Model` that `ReplicatedTraining` overrides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import tree
from keras.utils import unpack_x_y_sample_weight

from keras_ctxseg.distribution.arguments import ignore_label_of
from keras_ctxseg.distribution.batches import (
    PaddedBatch,
    check_divisible,
    round_up,
    split_padded,
    split_training,
)


def is_replicated(strategy) -> bool:
    """Whether the strategy is one of those that Keras' own loops do not serve."""
    kinds = (
        tf.distribute.MirroredStrategy,
        tf.distribute.MultiWorkerMirroredStrategy,
        tf.distribute.TPUStrategy,
    )
    return isinstance(strategy, kinds)


def symbolic_batch(strategy: tf.distribute.Strategy, iterator: Any) -> Any:
    """What a replica gets in a step, as symbols, from an epoch iterator of Keras.

    Streams tell without being read: a data set would have to be opened and dropped again.
    """
    spec = getattr(iterator.data_adapter, "element_spec", None)
    if spec is None:
        for _, _, batches in iterator:
            return _first_local(strategy, next(batches))
    spec = spec.batch if isinstance(spec, PaddedBatch) else spec
    return tf.nest.map_structure(
        lambda leaf: keras.KerasTensor(tuple(leaf.shape), leaf.dtype.name), spec
    )


def make_function(model: keras.Model, step: Callable) -> Callable:
    """From a replica's step to the function of an iterator that Keras' loops call.

    It returns what the first local replica's last step returned. The running loss in it is that of
    all replicas; a running metric counts that replica's images until Keras adds the replicas up,
    which it does at the end of an epoch or an evaluation.
    """
    strategy = model.distribute_strategy
    kind = "train" if step == model.train_step else "test"

    @tf.autograph.experimental.do_not_convert
    def one_step(batch):
        return _first_local(strategy, strategy.run(step, args=(batch,)))

    def several_steps(iterator, count):
        # The first stands outside the loop, which has to know what it carries.
        outputs = one_step(next(iterator))
        if model.steps_per_execution > 1:  # Or the graph would hold a second step for nothing.
            for _ in tf.range(1, count):
                outputs = one_step(next(iterator))
        return outputs

    if not model.run_eagerly:
        one_step = tf.function(one_step, reduce_retracing=True)
        several_steps = tf.function(several_steps, reduce_retracing=True)

    def function(iterator):
        if not isinstance(iterator, tf.distribute.DistributedIterator):  # Of `train_on_batch`.
            place = place_for_training if kind == "train" else place_for_evaluation
            return model._get_metrics_result_or_logs(one_step(place(model, next(iterator))))
        count = _take(model, kind, model.steps_per_execution)
        if count == 0:
            raise StopIteration
        try:
            return several_steps(iterator, tf.constant(count))
        except tf.errors.OutOfRangeError:
            raise StopIteration from None

    return function


def make_predict_function(model: keras.Model) -> Callable:
    """The outputs of all replicas, one below the other in the order of the images, no padding."""
    strategy = model.distribute_strategy

    def step(data):
        batch, counted = _with_count(data)
        return model.predict_step(batch), counted

    @tf.autograph.experimental.do_not_convert
    def one_batch(batch):
        outputs, counted = tree.map_structure(
            lambda parts: strategy.gather(parts, axis=0), strategy.run(step, args=(batch,))
        )
        # Padding stands last in the batch, hence on the last replicas.
        images = tf.cast(tf.reduce_sum(counted), tf.int32)
        return tree.map_structure(lambda output: output[:images], outputs)

    if not model.run_eagerly:
        one_batch = tf.function(one_batch, reduce_retracing=True)

    def function(batches):
        batches = batches[: _take(model, "predict", len(batches))]
        parts = [one_batch(batch) for batch in batches]
        return tree.map_structure(lambda *rows: tf.concat(rows, axis=0), *parts)

    return function


def test_step(model: keras.Model, data: Any) -> dict[str, Any]:
    """Keras' `test_step`, where the running loss counts images of the data set only."""
    batch, counted = _with_count(data)
    x, y, sample_weight = unpack_x_y_sample_weight(batch)
    y_pred = model(x, training=False)
    loss = model.compute_loss(x, y, y_pred, sample_weight, training=False)
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    model._loss_tracker.update_state(loss * replicas, sample_weight=tf.reduce_sum(counted))
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def train_step(model: keras.Model, data: Any) -> dict[str, Any]:
    """Keras' `train_step` with the gradient averaged over pieces of the batch, one after another.

    Each of the `model.accumulate_steps` pieces has its own loss mean and batch statistics. Only
    one piece's activations are in memory at a time.
    """
    pieces = model.accumulate_steps
    variables = model.trainable_variables
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    total: list = [None] * len(variables)
    logs: dict[str, Any] = {}
    for piece in range(pieces):
        # The graph would otherwise be free to run all pieces at once.
        after = [gradient for gradient in total if gradient is not None]
        with tf.control_dependencies(after):
            x, y, sample_weight = unpack_x_y_sample_weight(
                tf.nest.map_structure(functools.partial(_piece, number=piece, of=pieces), data)
            )
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x, y, y_pred, sample_weight, training=True)
            model._loss_tracker.update_state(loss * replicas, sample_weight=tf.shape(x)[0])
            loss = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, variables)
        total = [_sum(*pair) for pair in zip(total, gradients, strict=True)]
        logs = model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
    mean = [None if gradient is None else gradient / pieces for gradient in total]
    model.optimizer.apply_gradients(zip(mean, variables, strict=True))
    return logs


def predict_on_batch(model: keras.Model, x: Any) -> Any:
    """Keras' `predict_on_batch` for a global batch of any size."""
    model._steps_left["predict"] = None
    model.make_predict_function()
    outputs = model.predict_function([place_for_evaluation(model, (x,), labelled=False)])
    return tree.map_structure(lambda output: output.numpy(), outputs)


def place_for_training(model: keras.Model, batch: tuple) -> Any:
    """A global batch in memory, spread over the replicas as the streams spread theirs."""
    strategy = model.distribute_strategy
    batch = _tensors(batch)
    replicas = strategy.num_replicas_in_sync
    check_divisible(_size(batch), replicas, model.accumulate_steps)
    return _place(strategy, split_training(batch, replicas, model.accumulate_steps))


def place_for_evaluation(model: keras.Model, batch: tuple, labelled: bool = True) -> PaddedBatch:
    """A global batch of any size in memory, filled up and spread over the replicas."""
    strategy = model.distribute_strategy
    batch = _tensors(batch)
    replicas = strategy.num_replicas_in_sync
    full_size = round_up(_size(batch), replicas)
    ignore_label = ignore_label_of(model) if labelled else None
    return _place(strategy, split_padded(batch, replicas, full_size, ignore_label))


def _size(batch: tuple) -> int:
    return int(tree.flatten(batch)[0].shape[0])


def _tensors(batch: tuple) -> tuple:
    """Images, labels, weights as tensors, what is missing at the end left out."""
    given = [part for part in batch if part is not None]
    return tuple(tf.nest.map_structure(tf.convert_to_tensor, part) for part in given)


def _place(strategy, parts):
    return tf.nest.map_structure(
        lambda leaf: strategy.experimental_distribute_values_from_function(
            lambda context: leaf[context.replica_id_in_sync_group]
        ),
        parts,
    )


def _take(model: keras.Model, kind: str, most: int) -> int:
    """How many of the next `most` steps lie before the end of the epoch."""
    left = model._steps_left[kind]
    if left is None:
        return most
    taken = min(most, left)
    model._steps_left[kind] = left - taken
    return taken


def _first_local(strategy, values):
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], values
    )


def _with_count(data: Any) -> PaddedBatch:
    """A batch of our streams, or of a distributed data set that was not filled up."""
    if isinstance(data, PaddedBatch):
        return data
    return PaddedBatch(data, tf.ones(tf.shape(tree.flatten(data)[0])[:1]))


def _piece(leaf: tf.Tensor | None, number: int, of: int) -> tf.Tensor | None:
    if leaf is None:  # No sample weights.
        return None
    size = tf.shape(leaf)[0] // of
    return tf.identity(leaf[number * size : (number + 1) * size])


def _sum(total, gradient):
    if total is None or gradient is None:
        return gradient if total is None else total
    return total + gradient
