"""The ids that a label map may hold on its way through the augmentations, and tables by id.

Panoptic label maps have an instance on top of each id; tables and counts look at the ids alone.
"""

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
