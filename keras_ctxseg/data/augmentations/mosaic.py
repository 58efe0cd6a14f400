"""Mosaic (YOLOv4, arXiv 2004.10934): four examples in the four corners of one crop.

Each corner is a crop of its own, scaled as any other, so that things keep their sizes.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import MosaicConfig
from keras_ctxseg.data.augmentations import Example
from keras_ctxseg.data.augmentations.seeds import Seed, uniform


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
    return tf.ensure_shape(image, (*size, 3)), tf.ensure_shape(label, size)
