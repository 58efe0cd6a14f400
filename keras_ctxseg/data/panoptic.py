"""Panoptic label maps in the pipeline; `_panoptic_labels` says what they are."""

from collections.abc import Sequence

import tensorflow as tf

from keras_ctxseg.labels.panoptic import CROWD, STEP, class_ids, instance_numbers

PARTNER_STEP = 1 << 13  # instances of one example stay below


def from_segments(
    pixels: tf.Tensor,
    ids: tf.Tensor,
    categories: tf.Tensor,
    is_crowd: tf.Tensor,
    thing_classes: Sequence[int],
    ignore_label: int,
) -> tf.Tensor:
    """A panoptic label map from a map of segments and what is known about each.

    Args:
        pixels: int32 `(height, width)`, the segment of each pixel.
        ids: int32 `(segments,)`, as in `pixels`; those that are not listed become the ignore label.
        categories: int32 `(segments,)`, classes.
        is_crowd: bool `(segments,)`.
        thing_classes: the classes that are counted.
        ignore_label: what pixels of no segment get.

    Returns:
        int32 `(height, width)`; things are numbered in the order of the segments.
    """
    is_thing = tf.reduce_any(categories[:, None] == tf.constant(thing_classes, tf.int32), axis=1)
    numbers = tf.where(is_thing, tf.range(1, tf.size(ids) + 1), 0)
    numbers = tf.where(tf.logical_and(is_thing, is_crowd), CROWD, numbers)
    labels = tf.concat([[ignore_label], categories + STEP * numbers], 0)
    present, places = tf.unique(tf.reshape(pixels, [-1]))
    matches = tf.concat([tf.ones_like(present[:, None], tf.bool), present[:, None] == ids], 1)
    # The first entry, the ignore label, wins only where no segment matches.
    found = tf.where(matches, tf.range(tf.size(ids) + 1), -1)
    labels = tf.gather(tf.gather(labels, tf.reduce_max(found, 1)), places)
    return tf.reshape(labels, tf.shape(pixels))


def of_partner(label: tf.Tensor, number: int) -> tf.Tensor:
    """Gives another example's things numbers apart from those of this one and other partners."""
    counted = tf.logical_and(label >= STEP, instance_numbers(label) != CROWD)
    return tf.where(counted, label + STEP * PARTNER_STEP * number, label)


def renumbered(label: tf.Tensor) -> tf.Tensor:
    """Numbers the things that are left 1, 2 ... in the order in which they appear.

    After cropping and mixing: losses take few numbers, and each number as one thing, whatever the
    class.
    """
    flat = tf.reshape(label, [-1])
    present, places = tf.unique(flat)
    numbers = instance_numbers(present)
    counted = tf.logical_and(numbers > 0, numbers != CROWD)
    fresh = tf.where(counted, tf.cumsum(tf.cast(counted, tf.int32)), numbers)
    return tf.reshape(tf.gather(class_ids(present) + STEP * fresh, places), tf.shape(label))
