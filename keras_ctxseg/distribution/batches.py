"""Global batches, cut so that every replica of a strategy gets its part; TensorFlow only.

Whatever the number of replicas, step k sees the same images. Worker w with L of the R replicas
reads the whole stream and keeps, of each global batch, the parts of its replicas wL ... wL + L - 1.
Nothing is sharded automatically.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.utils import unpack_x_y_sample_weight


class PaddedBatch(NamedTuple):
    """A part of an evaluation batch that was filled up.

    Attributes:
        batch: what the data set yielded: images, or a tuple of images, labels, sample weights.
        counted: (images,) float32, 1 for an image of the data set, 0 for padding.
    """

    batch: Any
    counted: tf.Tensor


class ReplicaStream(DataAdapter):
    """What `fit`, `evaluate` and `predict` take instead of a data set: the parts of each replica.

    Args:
        strategy: the strategy.
        make_local: from a `tf.distribute.InputContext` to this worker's data set: for each global
            batch one element for each of its replicas. Without end.
        steps: global batches in an epoch; None where only `steps_per_epoch` tells.
        source: another adapter, told when epochs begin and end.

    Attributes:
        steps: as above.
        element_spec: of what one replica gets.
    """

    element_spec: Any = None

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        make_local: Callable[[tf.distribute.InputContext], tf.data.Dataset],
        steps: int | None = None,
        source: DataAdapter | None = None,
    ):
        def make_and_note(context):
            dataset = make_local(context)
            self.element_spec = dataset.element_spec
            return dataset

        self._dataset = strategy.distribute_datasets_from_function(make_and_note)
        self.steps = steps
        self._source = source

    def get_tf_dataset(self) -> tf.distribute.DistributedDataset:
        return self._dataset

    @property
    def num_batches(self) -> None:
        # Keras would open the stream anew for every epoch, once more than there are.
        return None

    @property
    def batch_size(self) -> None:
        return None

    @property
    def has_partial_batch(self) -> bool:
        return False

    @property
    def partial_batch_size(self) -> None:
        return None

    def on_epoch_begin(self) -> None:
        if self._source is not None:
            self._source.on_epoch_begin()

    def on_epoch_end(self) -> None:
        if self._source is not None:
            self._source.on_epoch_end()


def check_divisible(batch_size: int, replicas: int, accumulate_steps: int = 1) -> None:
    """Raises `ValueError` unless a batch splits evenly over replicas and accumulated pieces."""
    parts = replicas * accumulate_steps
    if batch_size % parts:
        pieces = f" in {accumulate_steps} accumulated pieces" if accumulate_steps > 1 else ""
        raise ValueError(
            f"`batch_size`: the images of a batch are split over {replicas} replicas{pieces}; "
            f"expected a multiple of {parts}. Received: {batch_size}"
        )


def split_training(batch: tuple, replicas: int, accumulate_steps: int = 1) -> tuple:
    """Gives every leaf `(images, ...)` a first axis of replicas.

    Each of the `accumulate_steps` consecutive pieces of the batch is spread over all replicas, so
    that the m-th pieces of the replicas together are the m-th piece of the batch.
    """

    def cut(leaf):
        part = tf.shape(leaf)[0] // (replicas * accumulate_steps)
        leaf = _lead(leaf, [accumulate_steps, replicas, part])
        leaf = tf.transpose(leaf, [1, 0, *range(2, leaf.shape.rank)])
        return _lead(leaf, [replicas, -1], drop=3)

    return tf.nest.map_structure(cut, batch)


def split_padded(
    batch: tuple, replicas: int, full_size: int, ignore_label: int | None
) -> PaddedBatch:
    """Fills a batch up to `full_size` images and gives every leaf a first axis of replicas.

    Padding is black images, labels of `ignore_label`, and sample weights of 0. Labels and weights
    are left out where `ignore_label` is None.
    """
    size = _size(batch)

    def padded(leaf, value=0):
        widths = [[0, full_size - size]] + [[0, 0]] * (leaf.shape.rank - 1)
        leaf = tf.pad(leaf, widths, constant_values=tf.cast(value, leaf.dtype))
        return _lead(leaf, [replicas, full_size // replicas])

    images, labels, weights = unpack_x_y_sample_weight(batch)
    parts = [tf.nest.map_structure(padded, images)]
    if ignore_label is None:
        labels = weights = None
    if labels is not None:
        parts.append(tf.nest.map_structure(lambda leaf: padded(leaf, ignore_label), labels))
    if weights is not None:
        parts.append(tf.nest.map_structure(padded, weights))
    counted = tf.cast(tf.range(full_size) < size, tf.float32)
    return PaddedBatch(tuple(parts), _lead(counted, [replicas, full_size // replicas]))


def training_stream(
    strategy: tf.distribute.Strategy, source: DataAdapter, accumulate_steps: int = 1
) -> ReplicaStream:
    """The batches of `source` for training; a later batch that does not split is left out.

    Raises:
        ValueError: if the first batch does not split evenly.
    """
    replicas = strategy.num_replicas_in_sync
    parts = replicas * accumulate_steps
    dataset = source.get_tf_dataset()
    check_divisible(_first_batch_size(dataset), replicas, accumulate_steps)

    def make_local(context):
        whole = dataset.filter(lambda *batch: tf.equal(_size(batch) % parts, 0))
        return _local_parts(
            whole, lambda batch: split_training(batch, replicas, accumulate_steps), context
        )

    return ReplicaStream(strategy, make_local, source.num_batches, source)


def evaluation_stream(
    strategy: tf.distribute.Strategy,
    source: DataAdapter,
    ignore_label: int | None,
    steps: int | None = None,
) -> ReplicaStream:
    """The batches of `source` as `PaddedBatch`es, each filled up to the size of the first batch.

    So no replica is ever empty, and no shape changes at the last batch.

    Args:
        strategy, source: as above.
        ignore_label: what padded labels say; None leaves labels and weights out.
        steps: batches to read, no more than there are. Where neither this nor the data set tells
            their number, they are counted.
    """
    replicas = strategy.num_replicas_in_sync
    dataset = source.get_tf_dataset()
    full_size = round_up(_first_batch_size(dataset), replicas)
    available = source.num_batches
    if available is None:
        available = steps or sum(1 for _ in dataset)

    def make_local(context):
        return _local_parts(
            dataset, lambda batch: split_padded(batch, replicas, full_size, ignore_label), context
        )

    return ReplicaStream(strategy, make_local, min(available, steps or available), source)


def round_up(size: int, step: int) -> int:
    """The first multiple of `step` that is not below `size`."""
    return -(-size // step) * step


def _local_parts(dataset, split, context) -> tf.data.Dataset:
    """One element for each replica of this worker, of batches that `split` gives a replica axis."""
    count = context.num_replicas_in_sync // context.num_input_pipelines
    first = context.input_pipeline_id * count

    def mine(*batch):
        return tf.nest.map_structure(lambda leaf: leaf[first : first + count], split(batch))

    parts = dataset.map(mine, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return parts.unbatch().repeat().prefetch(tf.data.AUTOTUNE)


def _first_batch_size(dataset: tf.data.Dataset) -> int:
    size = tf.nest.flatten(dataset.element_spec)[0].shape[0]
    if size is None:
        for batch in dataset.take(1):
            size = int(_size(batch))
    if size is None:
        raise ValueError("`x` holds no batch.")
    return size


def _size(batch) -> tf.Tensor:
    return tf.shape(tf.nest.flatten(batch)[0])[0]


def _lead(leaf: tf.Tensor, leading: list, drop: int = 1) -> tf.Tensor:
    """`leaf` with its first `drop` axes reshaped to `leading`."""
    static = [side if isinstance(side, int) and side >= 0 else None for side in leading]
    rest = leaf.shape[drop:]
    leaf = tf.reshape(leaf, tf.concat([leading, tf.shape(leaf)[drop:]], axis=0))
    leaf.set_shape([*static, *rest])
    return leaf
