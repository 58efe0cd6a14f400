"""The training pipeline: an endless, repeatable stream of augmented batches.

Batch `k` depends on the seed and on `k`, on nothing else: the shuffling of an epoch is a function
of (seed, epoch), the augmentation of an example a function of (seed, its number in the stream);
so are the further examples that mosaic and its like put beside it. So a run that resumes at step
`n` sees what it would have seen, and skips to it at no cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.augment import augment_and_mix
from keras_ctxseg.data.augmentation_config import AugmentationConfig
from keras_ctxseg.data.augmentations.custom import check_custom
from keras_ctxseg.data.dataset import ExampleReader, SegmentationDataset, check_scaled_sizes
from keras_ctxseg.data.panoptic import renumbered
from keras_ctxseg.data.readers import PackedExamples
from keras_ctxseg.data.resampling import scale_image, scale_label

_AUTO_CACHE_BYTES = 1 << 30


class TrainPipeline:
    """Batches for `model.fit`.

    Args:
        dataset: where from.
        split: which part of it, mostly `"train"`.
        config: crop size and augmentation.
        batch_size: examples in each batch.
        seed: decides order and augmentation.
        cache: keep decoded (and, by `image_scale`, scaled) examples in `"memory"`, `"none"` of
            them, or `"auto"`: all if they take 1 GiB at most. It changes the speed, never the
            batches.
        image_scale: every image and mask is first scaled by this factor (0.5: half size). Use the
            same factor in `evaluation_examples`.

    Raises:
        ValueError: no such split, a batch size below 1, an unknown `cache`, a class to copy that
            the data set lacks, a custom augmentation that breaks its contract, or images that
            `image_scale` makes smaller than 33 pixels.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        split: str,
        config: AugmentationConfig,
        batch_size: int,
        seed: int = 0,
        cache: str = "auto",
        image_scale: float = 1.0,
    ):
        if batch_size < 1:
            raise ValueError(f"`batch_size`: expected 1 or more. Received: {batch_size}")
        if cache not in ("auto", "memory", "none"):
            raise ValueError(f"`cache`: expected 'auto', 'memory' or 'none'. Received: {cache!r}")
        check_scaled_sizes(dataset, split, image_scale)
        self.dataset, self.split, self.config = dataset, split, config
        self.batch_size, self.seed, self.cache = batch_size, seed, cache
        self.image_scale = image_scale
        check_custom(config.custom, dataset.channels)
        self._pasted_ids = _class_ids(config.copy_paste.classes, dataset)
        self._reader: ExampleReader | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Batches until every example has been seen: the example count over the batch size, up.

        The stream itself has no seams: where the batch size does not divide the number of
        examples, a batch takes its last examples from the next shuffling.
        """
        return math.ceil(self.dataset.splits[self.split] / self.batch_size)

    def build(self, start_step: int = 0, part: BatchPart | None = None) -> tf.data.Dataset:
        """The stream from batch `start_step` on, without end.

        Args:
            start_step: 0-based number of the first batch.
            part: the replicas whose parts of each batch to make, one element for each replica;
                None for whole batches.

        Returns:
            A `tf.data.Dataset` of float32 `(batch_size, *crop_size, channels)` images in 0 ... 255
            and int32 `(batch_size, *crop_size)` labels; with `part` of as many as a replica gets.
            In panoptic label maps the things of an image are numbered 1, 2 ...
        """
        if start_step < 0:
            raise ValueError(f"`start_step`: expected 0 or more. Received: {start_step}")
        self._reader = self._reader or self._open()
        places = (part or BatchPart()).places(self.batch_size)
        numbers = _numbers(start_step, self.batch_size, places.ravel())
        batches = (
            numbers.map(self.example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(places.shape[1], drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )
        return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    def example(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Example `number` (scalar int64) of the stream, augmented: image and label."""
        reader = self._reader = self._reader or self._open()
        number = tf.cast(number, tf.int64)

        def read(index):
            example = reader.read(index)
            shape = (None, None, self.dataset.channels)
            return tf.ensure_shape(example["image"], shape), example["label"]

        image, label = augment_and_mix(
            read,
            self.source_index(number),
            len(reader),
            tf.stack([tf.constant(self.seed, tf.int64), number]),
            self.config,
            self.dataset.ignore_label,
            self._pasted_ids,
        )
        return image, renumbered(label) if self.dataset.is_panoptic else label

    def source_index(self, number: tf.Tensor | int) -> tf.Tensor:
        """Which example of the split (int64) stands at `number` of the stream; scalars."""
        count = self.dataset.splits[self.split]
        number = tf.cast(number, tf.int64)
        return self._shuffled(number % count, number // count)

    def number_of(self, index: int, epoch: int) -> int:
        """Where in the stream example `index` of the split stands in `epoch`, both from 0."""
        count = self.dataset.splits[self.split]
        order = self._shuffled(tf.range(count, dtype=tf.int64), tf.constant(epoch, tf.int64))
        return epoch * count + int(tf.argmax(order == index))

    def _shuffled(self, place: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        last = tf.constant(self.dataset.splits[self.split] - 1, tf.int64)
        seed = tf.stack([tf.constant(self.seed, tf.int64), epoch])
        return tf.random.experimental.index_shuffle(place, seed, last)

    def _open(self) -> ExampleReader:
        reader = ScaledExamples(self.dataset.reader(self.split), self.image_scale)
        bytes_per_pixel = self.dataset.channels + np.dtype(self._label_dtype).itemsize
        size = int(reader.sizes.prod(axis=1).sum()) * bytes_per_pixel
        if self.cache == "none" or (self.cache == "auto" and size > _AUTO_CACHE_BYTES):
            return reader
        if isinstance(reader.source, PackedExamples) and self.image_scale == 1:
            return reader.source
        examples = tf.data.Dataset.range(len(reader)).map(
            reader.read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        progress = tqdm(
            examples.as_numpy_iterator(),
            desc=f"Reading {self.dataset.name}/{self.split}",
            total=len(reader),
            delay=1.0,
            leave=False,
        )
        return PackedExamples(progress, reader.sizes, self._label_dtype, self.dataset.channels)

    @property
    def _label_dtype(self) -> type:
        return np.int32 if self.dataset.is_panoptic else np.uint8


def _numbers(start_step: int, batch_size: int, places: np.ndarray) -> tf.data.Dataset:
    """Numbers of the examples at `places` of every batch, from batch `start_step` on."""
    places = tf.constant(places, tf.int64)
    last_step = np.iinfo(np.int64).max // batch_size
    return tf.data.Dataset.range(start_step, last_step).flat_map(
        lambda step: tf.data.Dataset.from_tensor_slices(step * batch_size + places)
    )


class ScaledExamples:
    """Another reader's examples, scaled by a fixed factor; pixels are rounded to whole numbers."""

    def __init__(self, source: ExampleReader, scale: float):
        self.source, self.scale = source, scale
        self.sizes = np.maximum(np.round(source.sizes * scale), 1).astype(np.int64)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ExampleReader.read`."""
        example = self.source.read(index)
        image = tf.round(scale_image(example["image"], self.scale))
        label = scale_label(example["label"], self.scale)
        return {**example, "image": tf.cast(image, tf.uint8), "label": label}


def _class_ids(names: tuple[str, ...], dataset: SegmentationDataset) -> tuple[int, ...]:
    for name in names:
        if name not in dataset.class_names:
            raise ValueError(
                f"`augmentation.copy_paste.classes`: the data set {dataset.name} has no class "
                f"{name!r}. Expected some of {', '.join(dataset.class_names)}."
                f"{nearest(name, dataset.class_names)}"
            )
    return tuple(map(dataset.class_names.index, names))


@dataclass(frozen=True)
class BatchPart:
    """The part of a global batch that one worker makes, one batch for each of its replicas.

    The batch is cut into `pieces` consecutive pieces, each piece into one run of examples for
    every replica; so the m-th pieces of all replicas together are the m-th piece of the batch.

    Args:
        first_replica: number of this worker's first replica among all.
        local_replicas: replicas of this worker.
        replicas: of all workers.
        pieces: how many pieces a batch is trained in, one after another.
    """

    first_replica: int = 0
    local_replicas: int = 1
    replicas: int = 1
    pieces: int = 1

    def places(self, batch_size: int) -> np.ndarray:
        """Places in the batch, int64 `(local_replicas, examples of each)`, in their order.

        Raises:
            ValueError: if the batch does not split evenly.
        """
        if batch_size % (self.replicas * self.pieces):
            raise ValueError(
                f"`batch_size`: expected a multiple of {self.replicas * self.pieces}, for "
                f"{self.replicas} replicas and {self.pieces} pieces. Received: {batch_size}"
            )
        by_piece = np.arange(batch_size).reshape(self.pieces, self.replicas, -1)
        places = by_piece.transpose(1, 0, 2).reshape(self.replicas, -1)
        return places[self.first_replica : self.first_replica + self.local_replicas]
