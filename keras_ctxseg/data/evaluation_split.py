"""Examples for evaluation: nothing random, labels at their own size."""

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.resampling import scale_image


def check_scaled_sizes(dataset: SegmentationDataset, split: str, image_scale: float) -> None:
    """Raises `ValueError` where a scaled image would be too small for the networks."""
    sizes = dataset.reader(split).sizes
    smallest = sizes[sizes.min(axis=1).argmin()]
    if round(smallest.min() * image_scale) < MIN_SIZE:
        raise ValueError(
            f"`image_scale`: the smallest image of {dataset.name}/{split} is {smallest[0]}x"
            f"{smallest[1]} (height x width) and must keep at least {MIN_SIZE} pixels a side. "
            f"Received: image_scale={image_scale}"
        )


def evaluation_examples(
    dataset: SegmentationDataset, split: str, image_scale: float = 1.0
) -> tf.data.Dataset:
    """All examples of a split, once and in order.

    Args:
        dataset: where from.
        split: which part of it.
        image_scale: factor on the images only, as `TrainPipeline`'s.

    Returns:
        An unbatched `tf.data.Dataset` of `image` float32 `(height, width, 3)` RGB in 0 ... 255,
        `label` int32 at the mask's own size, and `name`, a string.

    Raises:
        ValueError: no such split, or images that `image_scale` makes smaller than 33 pixels.
    """
    check_scaled_sizes(dataset, split, image_scale)

    def scale(example):
        return {**example, "image": scale_image(example["image"], image_scale)}

    examples = dataset.examples(split)
    examples = examples.map(scale, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.prefetch(tf.data.AUTOTUNE)
