"""Some classes of one example pasted onto another: copy-paste and ClassMix.

Both show the classes where the other example has them. Pixels of no class are never pasted.
"""

import tensorflow as tf

from keras_ctxseg.data.augmentations import Example
from keras_ctxseg.data.augmentations.label_ids import class_counts
from keras_ctxseg.data.augmentations.seeds import Seed, uniform
from keras_ctxseg.data.augmentations.select import select
from keras_ctxseg.labels.panoptic import class_ids


def paste(below: Example, above: Example, is_pasted: tf.Tensor) -> Example:
    """`above` where its label is one of the pasted ids, else `below`.

    Args:
        below, above: float32 `(height, width, 3)` and int32 `(height, width)` each, equal sizes.
        is_pasted: boolean by id, see `label_ids.table`.
    """
    mask = tf.gather(is_pasted, class_ids(above[1]))
    return select(mask, above[0], below[0]), tf.where(mask, above[1], below[1])


def of_half_the_classes(label: tf.Tensor, seed: Seed, ignore_label: int) -> tf.Tensor:
    """`is_pasted` of ClassMix: half of the classes in `label`, rounded down."""
    present = class_counts(label, ignore_label) > 0
    half = tf.reduce_sum(tf.cast(present, tf.int32)) // 2
    draws = tf.where(present, uniform(seed, (present.shape[0],)), 2.0)
    ranks = tf.argsort(tf.argsort(draws))
    return ranks < half
