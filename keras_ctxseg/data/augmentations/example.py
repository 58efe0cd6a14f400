"""Examples on their way through the augmentations: label ids, seeds, and pixels of one or another.

Panoptic label maps have an instance on top of each id; tables and counts look at the ids alone.
"""

import enum
from typing import TypeAlias

import tensorflow as tf

from keras_ctxseg.labels.panoptic import class_ids as ids_of

OUTSIDE = 256  # no image here; every class and ignore label is in 0 ... 255
_IDS = range(OUTSIDE + 1)


def table(class_ids: tuple[int, ...]) -> tf.Tensor:
    """boolean, by id: whether it is one of these."""
    return tf.constant([id in class_ids for id in _IDS])


def class_counts(label: tf.Tensor, ignore_label: int) -> tf.Tensor:
    """int32, by id: pixels of each class; none of `ignore_label` and `OUTSIDE`."""
    counts = tf.math.bincount(ids_of(label), minlength=len(_IDS), maxlength=len(_IDS))
    return tf.where(table((ignore_label, OUTSIDE)), 0, counts)


Seed: TypeAlias = tf.Tensor  # integer (2,)


class Draw(enum.IntEnum):
    """What a number is drawn for; the values are part of every stream and must not change."""

    CROP = 1
    ROTATION = 2
    RAND_AUGMENT = 3
    MOSAIC = 4
    COPY_PASTE = 5
    CLASS_MIX = 6
    PARTNER = 7
    CHOICE = 8
    CUSTOM = 9


def derived(seed: Seed, draw: int) -> Seed:
    """Another seed, the same for the same `seed` and `draw`."""
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int64)
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(draw, tf.int64), alg="philox")


def uniform(seed: Seed, shape: tuple[int, ...] = (), low: float = 0.0, high: float = 1.0):
    """float32 numbers in `low ... high`."""
    return tf.random.stateless_uniform(shape, seed, low, high, alg="philox")


def index_below(seed: Seed, count: tf.Tensor | int) -> tf.Tensor:
    """A scalar int64 in `0 ... count - 1`."""
    return tf.random.stateless_uniform(
        (), seed, 0, tf.cast(count, tf.int64), tf.int64, alg="philox"
    )


def select(mask: tf.Tensor, chosen: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """`tf.where(mask[..., None], chosen, other)` to the last bit, in a third of the time.

    Broadcasting over as few as three channels is slow; a product with a row of ones is not.

    Args:
        mask: boolean `(height, width)`.
        chosen: float32, `(height, width, channels)` or one colour, `(channels,)`.
        other: float32 `(height, width, channels)`; everything is finite.
    """
    weight = tf.reshape(tf.cast(mask, tf.float32), (-1, 1)) @ tf.ones((1, tf.shape(other)[-1]))
    weight = tf.reshape(weight, tf.shape(other))
    return weight * chosen + (1 - weight) * other
