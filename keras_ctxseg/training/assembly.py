"""The parts that a configuration names: data set, model, training pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras

import keras_ctxseg as ctx
from keras_ctxseg.training.config import ConfigError, RunConfig

if TYPE_CHECKING:
    from keras_ctxseg.data import SegmentationDataset, TrainPipeline


def load_dataset(config: RunConfig) -> SegmentationDataset:
    """The data set, checked against `model.num_classes` and the names of the splits."""
    dataset = ctx.data.load(config.data.name, **config.data.options)
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
    return dataset


def build_model(config: RunConfig, num_classes: int) -> keras.Model:
    """The network in the configured precision, with the weights of `model.weights` if given."""
    keras.utils.set_random_seed(config.training.seed)
    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.model.options.items()
    }
    with dtype_policy(config.training.precision):
        return ctx.models.build(
            config.model.name, num_classes, weights=config.model.weights, **options
        )


def build_pipeline(config: RunConfig, dataset: SegmentationDataset) -> TrainPipeline:
    """The stream of augmented training batches."""
    return ctx.data.TrainPipeline(
        dataset,
        config.data.train_split,
        config.augmentation,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        cache=config.data.cache,
        image_scale=config.data.image_scale,
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
