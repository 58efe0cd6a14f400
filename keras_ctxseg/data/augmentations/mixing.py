"""Several examples in one: mosaic, copy-paste and ClassMix.

Mosaic (YOLOv4, arXiv 2004.10934) puts four examples into the corners of one crop; each corner is a
crop of its own, scaled as any other, so that things keep their sizes. Copy-paste and ClassMix show
some classes of one example where it has them, and the other example elsewhere; pixels of no class
are never pasted.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import MosaicConfig
from keras_ctxseg.data.augmentations import Example
from keras_ctxseg.data.augmentations.example import Seed, class_counts, select, uniform
from keras_ctxseg.labels.panoptic import class_ids


def mosaic(
    corners: Sequence[Callable[[tf.Tensor], Example]], size: tuple[int, int], seed: Seed,
    config: MosaicConfig,
) -> Example:  # fmt: skip
    """Puts four examples together.

    Args:
        corners: four functions of a size, int32 `(2,)`, to image and label of that size; top left,
            top right, bottom left, bottom right.
        size: height and width of the result.
        seed: decides where the corners meet.
        config: where they may.
    """
    meeting = uniform(seed, (2,), *config.center_range)
    split = tf.cast(tf.round(meeting * tf.constant(size, tf.float32)), tf.int32)
    split = tf.clip_by_value(split, 1, tf.constant(size) - 1)
    heights = [split[0], size[0] - split[0]]
    widths = [split[1], size[1] - split[1]]
    sizes = [tf.stack([height, width]) for height in heights for width in widths]
    examples = [corner(size) for corner, size in zip(corners, sizes, strict=True)]
    image, label = (
        tf.concat([tf.concat(parts[:2], 1), tf.concat(parts[2:], 1)], 0)
        for parts in zip(*examples, strict=True)
    )
    channels = examples[0][0].shape[-1]
    return tf.ensure_shape(image, (*size, channels)), tf.ensure_shape(label, size)


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
