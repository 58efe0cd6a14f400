"""Some classes of one example pasted onto another: copy-paste and ClassMix.

Both show the classes where the other example has them. Ignored pixels are never pasted.
"""

import tensorflow as tf

from keras_ctxseg.data.augmentations import Example
from keras_ctxseg.data.augmentations.class_share import LABEL_IDS
from keras_ctxseg.data.augmentations.seeds import Seed, uniform


def paste(below: Example, above: Example, is_pasted: tf.Tensor) -> Example:
    """`above` where its label is one of the pasted ids, else `below`.

    Args:
        below, above: float32 `(height, width, 3)` and int32 `(height, width)` each, equal sizes.
        is_pasted: boolean `(256,)`, by id.
    """
    mask = tf.gather(is_pasted, above[1])
    return tf.where(mask[..., None], above[0], below[0]), tf.where(mask, above[1], below[1])


def of_classes(class_ids: tuple[int, ...]) -> tf.Tensor:
    """`is_pasted` of copy-paste: these ids."""
    return tf.constant([id in class_ids for id in range(LABEL_IDS)])


def of_half_the_classes(label: tf.Tensor, seed: Seed, ignore_label: int) -> tf.Tensor:
    """`is_pasted` of ClassMix: half of the classes in `label`, rounded down."""
    present = tf.math.bincount(label, minlength=LABEL_IDS, maxlength=LABEL_IDS) > 0
    present &= tf.constant([id != ignore_label for id in range(LABEL_IDS)])
    half = tf.reduce_sum(tf.cast(present, tf.int32)) // 2
    ranks = tf.where(present, uniform(seed, (LABEL_IDS,)), 2.0)
    order = tf.argsort(tf.argsort(ranks))
    return present & (order < half)
