"""The cap on one class's share of a crop (`cat_max_ratio` in mmsegmentation)."""

import tensorflow as tf

from keras_ctxseg.data.augmentations.label_ids import class_counts
from keras_ctxseg.data.augmentations.window import Window, plan_window

ATTEMPTS = 10


def largest_share(label: tf.Tensor, ignore_label: int) -> tf.Tensor:
    """Share of the commonest class among the labelled pixels; 1 where no pixel is labelled."""
    counts = class_counts(label, ignore_label)
    total = tf.reduce_sum(counts)
    return tf.where(total > 0, tf.reduce_max(counts) / total, 1.0)


def plan_varied_window(label, crop, scale, places, max_share: float, ignore_label: int) -> Window:
    """The first of the windows in which no class has a share of `max_share` or more, or the last.

    Shares are of the window's pixels in the source.

    Args:
        label: int32 `(height, width)`.
        crop: height and width to fill.
        scale: float32 scalar.
        places: float32 `(attempts, 2)` in 0 ... 1, see `plan_window`.
        max_share: in 0 ... 1.
        ignore_label: the id that does not count.
    """

    def plan(attempt):
        return plan_window(tf.shape(label), crop, scale, places[attempt])

    def is_refused(attempt):
        share = largest_share(plan(attempt).cut(label), ignore_label)
        return tf.logical_and(attempt < places.shape[0] - 1, share >= max_share)

    return plan(tf.while_loop(is_refused, lambda attempt: [attempt + 1], [0])[0])
