"""The parts that a configuration names: data set, model, training pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.pipeline import BatchPart, TrainPipeline
from keras_ctxseg.data.registry import load
from keras_ctxseg.evaluation.evaluator import Evaluator
from keras_ctxseg.inference.protocol import SETTINGS, Protocol, named_protocol
from keras_ctxseg.labels.panoptic import is_panoptic
from keras_ctxseg.models.registry import build
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.imports import import_modules

if TYPE_CHECKING:
    import tensorflow as tf


def load_dataset(config: RunConfig) -> SegmentationDataset:
    """The data set, checked against `model.num_classes` and the names of the splits."""
    import_modules(config.imports, f"the run {config.name}")
    dataset = load(config.data.name, **config.data.options)
    check_dataset(config, dataset)
    return dataset


def check_dataset(config: RunConfig, dataset: SegmentationDataset) -> None:
    """Raises `ConfigError` where the data set has other classes or splits than the recipe names."""
    for key in ("train_split", "validation_split"):
        split = getattr(config.data, key)
        if split not in dataset.splits:
            raise ConfigError(
                f"`data.{key}`: expected one of {', '.join(dataset.splits)}. Received: {split!r}"
            )
    expected = config.model.num_classes
    if expected is not None and expected != dataset.num_classes:
        raise ConfigError(
            f"`model.num_classes`: the data set {dataset.name} has {dataset.num_classes} classes. "
            f"Received: {expected}"
        )


def build_model(config: RunConfig, num_classes: int, channels: int = 3) -> keras.Model:
    """The network in the configured precision, with the weights of `model.weights` if given.

    Args:
        config: of the run.
        num_classes: of the data set.
        channels: of its images.
    """
    import_modules(config.imports, f"the run {config.name}")
    options = dict(config.model.options)
    if channels != 3:
        options.setdefault("input_shape", (None, None, channels))
    keras.utils.set_random_seed(config.training.seed)
    with dtype_policy(config.training.precision):
        model = build(config.model.name, num_classes, weights=config.model.weights, **options)
    _check_layers(model)
    model.accumulate_steps = config.training.accumulate_steps
    if config.training.sync_batch_norm:
        synchronize_batch_norm(model)
    return model


def _check_layers(model: keras.Model) -> None:
    """Raises `ConfigError` where no checkpoint of the model could be loaded again."""
    for layer in model._flatten_layers():
        kind = type(layer)
        code = getattr(layer, "function", kind) if isinstance(layer, keras.layers.Lambda) else kind
        registered = keras.saving.get_registered_object(keras.saving.get_registered_name(code))
        module, name = getattr(code, "__module__", ""), getattr(code, "__qualname__", repr(code))
        if registered is not code and module.partition(".")[0] not in ("keras", "keras_hub"):
            raise ConfigError(
                f"`model.name`: {model.name} has the layer {layer.name!r}, whose code, "
                f"{module}.{name}, a checkpoint cannot name. Decorate it with "
                'keras.saving.register_keras_serializable(package="...")'
            )


def check_panoptic(model: keras.Model, dataset: SegmentationDataset) -> None:
    """Raises `ConfigError` where one of the two tells instances apart and the other does not."""
    if is_panoptic(model.output) and not dataset.is_panoptic:
        raise ConfigError(
            f"`data.options.panoptic`: the model {model.name} learns from instances. Expected "
            f"`true`, with a data set that has them. Received: {dataset.name} without"
        )
    if dataset.is_panoptic and not is_panoptic(model.output):
        raise ConfigError(
            "`data.options.panoptic`: expected `false`, as the model "
            f"{model.name} does not tell instances apart. Received: true"
        )


def synchronize_batch_norm(model: keras.Model) -> None:
    """Has all batch normalisation of a model count over all replicas. Before `compile`."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def build_pipeline(config: RunConfig, dataset: SegmentationDataset) -> TrainPipeline:
    """The stream of augmented training batches."""
    cache = config.data.cache
    return TrainPipeline(
        dataset,
        config.data.train_split,
        config.augmentation,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        cache=cache if cache == "auto" else "memory" if cache else "none",
        image_scale=config.data.image_scale,
    )


def batches(model: keras.Model, pipeline: TrainPipeline, start_step: int) -> Any:
    """The stream from batch `start_step` on, as the model's `fit` takes it.

    On several replicas each worker makes its part of every batch only, of the same stream.
    """
    if not getattr(model, "is_replicated", False):
        return pipeline.build(start_step)
    from keras_ctxseg.distribution.batches import ReplicaStream

    def local_part(context):
        count = context.num_replicas_in_sync // context.num_input_pipelines
        part = BatchPart(
            first_replica=context.input_pipeline_id * count,
            local_replicas=count,
            replicas=context.num_replicas_in_sync,
            pieces=model.accumulate_steps,
        )
        return pipeline.build(start_step, part)

    return ReplicaStream(model.distribute_strategy, local_part)


def check_batch_size(config: RunConfig, strategy: tf.distribute.Strategy) -> None:
    """Raises `ConfigError` unless the batch splits evenly over the strategy's replicas."""
    replicas = strategy.num_replicas_in_sync
    parts = replicas * config.training.accumulate_steps
    if config.training.batch_size % parts:
        raise ConfigError(
            f"`training.batch_size`: expected a multiple of {parts}, for {replicas} replicas and "
            f"accumulate_steps={config.training.accumulate_steps}. "
            f"Received: {config.training.batch_size}"
        )


def evaluation_protocol(config: RunConfig) -> Protocol:
    """How predictions are made: the named protocol and what the configuration changes of it."""
    section = config.evaluation
    protocol = named_protocol(section.protocol, config.augmentation.crop_size)
    given = {name: getattr(section, name) for name in SETTINGS}
    changes = {name: value for name, value in given.items() if value is not None}
    if "window" in changes:
        changes.setdefault("stride", None)  # two thirds of the new window
    if not changes:
        return protocol
    try:
        return replace(protocol, **changes, name=f"{protocol.name}, changed")
    except ValueError as error:
        raise ConfigError(f"evaluation: {error}") from None


def build_evaluator(
    config: RunConfig,
    model: keras.Model,
    dataset: SegmentationDataset,
    in_training: bool = False,
    progress: bool = False,
) -> Evaluator:
    """The evaluator that the configuration asks for.

    Args:
        config: of the run.
        model: what is evaluated.
        dataset: tells classes and ignore label.
        in_training: for validations, many of them: without scales, mirror images, contours and
            calibration.
        progress: draw a progress bar in the terminal.
    """
    protocol = evaluation_protocol(config)
    if in_training:
        protocol = replace(protocol, scales=(1.0,), flip=False)
    return Evaluator(
        model,
        dataset.num_classes,
        dataset.ignore_label,
        dataset.class_names,
        batch_size=config.evaluation.batch_size,
        progress=progress,
        protocol=protocol,
        details=not in_training,
        thing_classes=dataset.thing_classes,
        grouping=config.panoptic,
        block=1 if in_training else config.evaluation.block,
    )


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Makes `name` Keras' global dtype policy for the duration of a `with` block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
