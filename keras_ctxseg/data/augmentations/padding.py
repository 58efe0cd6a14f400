"""Pixels that show no image: the ignore label, and a colour of their own."""

import tensorflow as tf

from keras_ctxseg.data.augmentations.label_ids import OUTSIDE
from keras_ctxseg.data.augmentations.select import select


def pad(image: tf.Tensor, label: tf.Tensor, paddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sets image and label into their crop; the label around is `OUTSIDE`.

    Args:
        image: float32 `(height, width, 3)`.
        label: int32 `(height, width)`.
        paddings: int32 `(2, 2)`, rows and columns, before and after.
    """

    def padded():
        around = tf.concat([paddings, [[0, 0]]], 0)
        return tf.pad(image, around), tf.pad(label, paddings, constant_values=OUTSIDE)

    return tf.cond(tf.reduce_any(paddings > 0), padded, lambda: (image, label))


def fill_outside(
    image: tf.Tensor, label: tf.Tensor, color: tuple[float, float, float], ignore_label: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gives pixels with the label `OUTSIDE` their colour (RGB in 0 ... 255) and ignore label."""
    outside = label == OUTSIDE

    def filled():
        return (
            select(outside, tf.constant(color, tf.float32), image),
            tf.where(outside, ignore_label, label),
        )

    return tf.cond(tf.reduce_any(outside), filled, lambda: (image, label))
