"""Seeds for the several draws of one example, so that a new one leaves the others as they are."""

import enum
from typing import TypeAlias

import tensorflow as tf

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
