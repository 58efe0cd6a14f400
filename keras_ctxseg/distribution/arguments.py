"""What `fit`, `evaluate` and `predict` are given, as streams for the replicas; TensorFlow only."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import tree
from keras.src.trainers.data_adapters import array_slicing, get_data_adapter
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.utils import unpack_x_y_sample_weight

from keras_ctxseg.distribution.batches import ReplicaStream, evaluation_stream, training_stream
from keras_ctxseg.distribution.collectives import agree_on_statistics


def named(method: Callable, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of a call by name, defaults included."""
    bound = inspect.signature(method).bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    arguments.update(arguments.pop("kwargs", {}))
    return arguments


def fit_arguments(model: keras.Model, given: dict[str, Any]) -> dict[str, Any]:
    """Keras' arguments of `fit`, with the data as streams of the replicas' parts.

    Raises:
        ValueError: for XLA, an optimizer whose steps would depend on the number of replicas,
            batches that do not split over them, arrays that each worker would shuffle in its own
            way, and generators.
    """
    check_compiled(model, training=True)
    _split_validation(given)
    if given["validation_data"] is not None:
        x, y, sample_weight = unpack_x_y_sample_weight(given["validation_data"])
        batch_size = given["validation_batch_size"] or given["batch_size"]
        stream = _evaluation(
            model, x, y, sample_weight, batch_size, given["validation_steps"], labelled=True
        )
        given["validation_data"] = (stream,)
        given["validation_steps"] = getattr(stream, "steps", given["validation_steps"])
    given.update(validation_batch_size=None)
    shuffle, class_weight = given.pop("shuffle"), given.pop("class_weight")
    if not _is_ready(given["x"]):
        source = _source(
            *_taken(given, "x", "y", "sample_weight", "batch_size"),
            steps_per_epoch=given["steps_per_epoch"],
            shuffle=shuffle,
            class_weight=class_weight,
        )
        if shuffle and isinstance(source, ArrayDataAdapter) and _has_other_workers(model):
            raise ValueError(
                "`shuffle`: each worker would shuffle the arrays in its own order. Pass "
                "shuffle=False, or a `tf.data.Dataset` that is the same on all workers. "
                "Received: shuffle=True"
            )
        given["x"] = training_stream(model.distribute_strategy, source, model.accumulate_steps)
    steps = given["steps_per_epoch"] or getattr(given["x"], "steps", None)
    given["steps_per_epoch"] = steps
    given["callbacks"] = _with_epoch_turn(given["callbacks"], _EpochTurn(steps))
    return given


def evaluate_arguments(model: keras.Model, given: dict[str, Any]) -> dict[str, Any]:
    """Keras' arguments of `evaluate`, the batches filled up with ignored images."""
    check_compiled(model)
    agree_on_statistics(model)
    if not _is_ready(given["x"]):
        x, y, sample_weight, batch_size = _taken(given, "x", "y", "sample_weight", "batch_size")
        given["x"] = _evaluation(
            model, x, y, sample_weight, batch_size, given["steps"], labelled=True
        )
    model._steps_left["test"] = given["steps"] = _number_of_steps(given)
    return given


def predict_arguments(model: keras.Model, given: dict[str, Any]) -> dict[str, Any]:
    """Keras' arguments of `predict`, the batches filled up with images that are cut off again."""
    if not _is_ready(given["x"]):
        x, batch_size = _taken(given, "x", "batch_size")
        given["x"] = _evaluation(model, x, None, None, batch_size, given["steps"], labelled=False)
    model._steps_left["predict"] = given["steps"] = _number_of_steps(given)
    return given


def check_compiled(model: keras.Model, training: bool = False) -> None:
    """Raises `ValueError` for what cannot work on replicas, or would give other numbers there."""
    strategy = model.distribute_strategy
    if model.jit_compile and not isinstance(strategy, tf.distribute.TPUStrategy):
        raise ValueError(
            "`jit_compile`: XLA does not compile steps under "
            f"{type(strategy).__name__}; compile with jit_compile=False. Received: jit_compile=True"
        )
    if not training or model.optimizer is None:
        return
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    clips = any(getattr(inner, name) for name in ("clipnorm", "global_clipnorm", "clipvalue"))
    scales = optimizer is not inner
    if inner.gradient_accumulation_steps:
        raise ValueError(
            "`gradient_accumulation_steps` of an optimizer does not work on replicas; set the "
            "model's `accumulate_steps` (in a recipe `training.accumulate_steps`) instead. "
            f"Received: gradient_accumulation_steps={inner.gradient_accumulation_steps}"
        )
    if (clips or scales) and not getattr(optimizer, "steps_on_global_gradients", False):
        what = "scales the loss" if scales else "clips gradients"
        raise ValueError(
            f"`optimizer`: {type(optimizer).__name__} {what} by the gradients of each replica "
            "alone; use those of `keras_ctxseg.training` (SGD, AdamW, LossScaleOptimizer), which "
            "add them up first."
        )


def ignore_label_of(model: keras.Model) -> int:
    """The label that the compiled losses ignore.

    Raises:
        ValueError: if they name none, or several.
    """
    losses = tree.flatten(model.loss)
    labels = {loss.ignore_label for loss in losses if hasattr(loss, "ignore_label")}
    if len(labels) != 1:
        raise ValueError(
            "Evaluation on replicas fills batches up with images of the losses' ignore label; "
            "compile with losses of `keras_ctxseg.losses`, all with one `ignore_label`. "
            f"Received: losses with the ignore labels {sorted(labels)}"
        )
    return labels.pop()


class _EpochTurn(keras.callbacks.Callback):
    """Says where an epoch ends, and lets replicas agree before anything is validated or saved."""

    def __init__(self, steps: int | None):
        super().__init__()
        self.steps = steps

    def on_epoch_begin(self, epoch, logs=None):
        self.model._steps_left["train"] = self.steps

    def on_epoch_end(self, epoch, logs=None):
        agree_on_statistics(self.model)


def _with_epoch_turn(callbacks, turn):
    if isinstance(callbacks, keras.callbacks.CallbackList):
        turn.set_model(callbacks.model)
        callbacks.callbacks.insert(0, turn)
        return callbacks
    return [turn, *tree.flatten(callbacks or [])]


def _split_validation(given: dict[str, Any]) -> None:
    split = given.pop("validation_split")
    if split and given["validation_data"] is None:
        data = (given["x"], given["y"], given["sample_weight"])
        training, validation = array_slicing.train_validation_split(data, validation_split=split)
        given.update(zip(("x", "y", "sample_weight"), training, strict=True))
        given["validation_data"] = validation


def _evaluation(model, x, y, sample_weight, batch_size, steps, labelled: bool) -> ReplicaStream:
    if _is_ready(x):
        return x
    source = _source(x, y, sample_weight, batch_size)
    ignore_label = ignore_label_of(model) if labelled else None
    return evaluation_stream(model.distribute_strategy, source, ignore_label, steps)


def _source(x, y, sample_weight, batch_size, **options):
    if isinstance(x, types.GeneratorType):
        raise ValueError(
            "`x`: on replicas expected arrays, a `tf.data.Dataset` or a `PyDataset`, which can be "
            "read more than once. Received: a generator"
        )
    if isinstance(x, tf.data.Dataset):
        options.pop("shuffle", None)  # Keras would warn that it does not shuffle those.
    return get_data_adapter(x, y, sample_weight, batch_size or 32, **options)


def _is_ready(x) -> bool:
    return isinstance(x, (ReplicaStream, tf.distribute.DistributedDataset))


def _number_of_steps(given: dict[str, Any]) -> int | None:
    available = getattr(given["x"], "steps", None)
    steps = [count for count in (given["steps"], available) if count is not None]
    return min(steps, default=None)


def _has_other_workers(model: keras.Model) -> bool:
    resolver = model.distribute_strategy.cluster_resolver
    return resolver is not None and len(resolver.cluster_spec().as_dict().get("worker", ())) > 1


def _taken(given: dict[str, Any], *names: str) -> list:
    return [given.pop(name) for name in names]
