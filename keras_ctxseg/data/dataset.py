"""What every data set looks like to the rest of the package, and its examples for evaluation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.data.resampling import scale_image
from keras_ctxseg.labels.panoptic import IGNORE_LABEL


class ExampleReader(Protocol):
    """Random access to the examples of one split, from Python or from inside `tf.data`.

    Attributes:
        sizes: int64 `(examples, 2)`, the height and width of each image.
    """

    sizes: np.ndarray

    def __len__(self) -> int: ...

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """The example at `index` (scalar integer): uint8 `image`, int32 `label`, string `name`."""
        ...


class _Splits(dict[str, int]):
    """Examples by split, found by the split's other names too: `valid` for `val`."""

    def own_name(self, name: object) -> str:
        """The name among the keys; the given one if there is none."""
        if not isinstance(name, str) or dict.__contains__(self, name):
            return name  # type: ignore[return-value]
        meant = split_of(name)
        return meant if dict.__contains__(self, meant) else name

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, self.own_name(name))

    def __missing__(self, name: str) -> int:
        own = self.own_name(name)
        if own == name:
            raise KeyError(name)
        return self[own]


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentationDataset:
    """Images with one class id per pixel.

    Attributes:
        name: name of the data set.
        class_names: one name per class, in the order of the ids.
        palette: uint8 `(classes, 3)`, the RGB colour that each class is drawn in.
        splits: number of examples by split.
        open_split: makes the reader of one split; `reader` calls it once per split.
        ignore_label: the id of pixels that count neither in losses nor in scores.
        thing_classes: the ids of classes whose objects are told apart. Where there are any, labels
            are panoptic label maps: class + 1024 * instance, instance 0 for stuff, 65535 for a
            crowd.
        reading: how image files are read, where the data set reads files.
    """

    name: str
    class_names: tuple[str, ...]
    palette: np.ndarray
    splits: Mapping[str, int]
    open_split: Callable[[str], ExampleReader] = dataclasses.field(repr=False)
    ignore_label: int = IGNORE_LABEL
    thing_classes: tuple[int, ...] = ()
    reading: ImageReading = PLAIN

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.reading.channels or 3

    def __post_init__(self):
        object.__setattr__(self, "splits", _Splits(self.splits))

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def is_panoptic(self) -> bool:
        return bool(self.thing_classes)

    def reader(self, split: str) -> ExampleReader:
        """Random access to a split. Raises `ValueError` for a split that is not there."""
        if split not in self.splits:
            raise ValueError(
                f"Data set {self.name!r} has no split {split!r}. Expected one of "
                f"{', '.join(self.splits)}.{nearest(split, list(self.splits))}"
            )
        return self._readers(_Splits(self.splits).own_name(split))

    @functools.cached_property
    def _readers(self) -> Callable[[str], ExampleReader]:
        return functools.lru_cache(maxsize=None)(self.open_split)

    def examples(self, split: str) -> tf.data.Dataset:
        """The examples of a split at their own size, always in the same order.

        Returns:
            An unbatched `tf.data.Dataset` of `image` uint8 `(height, width, channels)`, `label`
            int32 `(height, width)` with ids in `0 ... num_classes - 1` or `ignore_label` (with
            instances on top where the data set is panoptic), and
            `name`, a string that is unique within the split.
        """
        reader = self.reader(split)
        indices = tf.data.Dataset.range(len(reader))
        return indices.map(reader.read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def check_scaled_sizes(dataset: SegmentationDataset, split: str, image_scale: float) -> None:
    """Raises `ValueError` where a scaled image would be too small for the networks."""
    sizes = dataset.reader(split).sizes
    smallest = sizes[sizes.min(axis=1).argmin()]
    if round(smallest.min() * image_scale) < MIN_SIZE:
        raise ValueError(
            f"`image_scale`: the smallest image of {dataset.name}/{split} is {smallest[0]}x"
            f"{smallest[1]} (height x width) and must keep at least {MIN_SIZE} pixels a side. "
            f"Received: image_scale={image_scale}"
        )


def evaluation_examples(
    dataset: SegmentationDataset, split: str, image_scale: float = 1.0
) -> tf.data.Dataset:
    """All examples of a split, once and in order.

    Args:
        dataset: where from.
        split: which part of it.
        image_scale: factor on the images only, as `TrainPipeline`'s.

    Returns:
        An unbatched `tf.data.Dataset` of `image` float32 `(height, width, channels)` in 0 ... 255,
        `label` int32 at the mask's own size, and `name`, a string.

    Raises:
        ValueError: no such split, or images that `image_scale` makes smaller than 33 pixels.
    """
    check_scaled_sizes(dataset, split, image_scale)

    def scale(example):
        return {**example, "image": scale_image(example["image"], image_scale)}

    examples = dataset.examples(split)
    examples = examples.map(scale, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.prefetch(tf.data.AUTOTUNE)
