"""Decoded examples held in memory, for random access without leaving the TensorFlow graph."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf


class PackedExamples:
    """All examples of a split, end to end in one buffer of pixels and one of labels.

    One buffer, rather than a list, is what a graph can slice at a run-time index; images of
    different sizes may stand next to each other.

    Args:
        examples: dicts of `image` uint8 `(height, width, 3)`, `label` integer `(height, width)` in
            0 ... 255, and `name` (bytes or str).
        sizes: integer `(examples, 2)`, the height and width of each example.
        label_dtype: of the buffer of labels; int32 for panoptic label maps.

    Raises:
        ValueError: an example whose size is not the one announced.
    """

    def __init__(self, examples: Iterable[dict], sizes: np.ndarray, label_dtype: type = np.uint8):
        self.sizes = np.asarray(sizes, np.int64).reshape(-1, 2)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes.prod(axis=1))])
        pixels = np.empty((self._starts[-1], 3), np.uint8)
        labels = np.empty(self._starts[-1], label_dtype)
        names = []
        for index, example in enumerate(examples):
            size = tuple(self.sizes[index])
            if example["image"].shape != (*size, 3) or example["label"].shape != size:
                raise ValueError(
                    f"Example {example['name']!r}: expected an image and a label of {size}. "
                    f"Received: {example['image'].shape} and {example['label'].shape}"
                )
            here = slice(self._starts[index], self._starts[index + 1])
            pixels[here] = example["image"].reshape(-1, 3)
            labels[here] = example["label"].reshape(-1)
            names.append(example["name"])
        if len(names) != len(self.sizes):
            raise ValueError(f"Expected {len(self.sizes)} examples. Received: {len(names)}")
        with tf.device("CPU"):
            self._pixels, self._labels = tf.constant(pixels), tf.constant(labels)
            self._names = tf.constant(names, tf.string)

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ExampleReader.read`."""
        start = tf.gather(self._starts, index)
        size = tf.gather(self.sizes, index)
        count = tf.reduce_prod(size)
        image = tf.slice(self._pixels, [start, 0], [count, 3])
        label = tf.slice(self._labels, [start], [count])
        return {
            "image": tf.reshape(image, tf.concat([size, [3]], 0)),
            "label": tf.reshape(tf.cast(label, tf.int32), size),
            "name": tf.gather(self._names, index),
        }
