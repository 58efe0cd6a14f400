"""Full-size logits of an image: checks of its size, scales and flips as graphs for all sizes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.layers.resize import resize_bilinear
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE, SegmentationModel

LOGITS = "logits"


def full_size_logits(model: keras.Model, images: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The model's logits, resized by half-pixel bilinear interpolation.

    Args:
        model: maps images to logits, or to a dict that holds them under "logits".
        images: (batch, image_height, image_width, channels) float32; RGB in 0 ... 255.
        size: (2,) int32, height and width of the result.

    Returns:
        (batch, height, width, classes) float32.
    """
    outputs = model(images, training=False)
    logits = tf.cast(outputs[LOGITS] if isinstance(outputs, dict) else outputs, tf.float32)
    same = tf.reduce_all(tf.equal(tf.shape(logits)[1:3], size))
    resized = tf.cond(same, lambda: logits, lambda: resize_bilinear(logits, size))
    resized.set_shape((None, None, None, logits.shape[-1]))
    return resized


def image_spec(model: keras.Model) -> tf.TensorSpec:
    """What a graph of this model takes: run-time sizes wherever the model leaves them open."""
    shape = (None, None, 3)
    if getattr(model, "inputs", None):
        shape = tuple(model.inputs[0].shape[1:])
    return tf.TensorSpec((None, *shape), tf.float32, name="images")


def check_image(image: np.ndarray, name: str, channels: int = 3) -> None:
    """Raises a ValueError that names the image where its shape or its channels are others."""
    if image.ndim != 3 or image.shape[-1] != channels:
        what = "RGB" if channels == 3 else "an image"
        raise ValueError(
            f"image {name!r}: expected {what} of shape (height, width, {channels}). "
            f"Received: {image.shape}"
        )


def check_input_size(model: keras.Model, size: tuple[int, int], what: str) -> None:
    """Raises a ValueError that begins with `what` where the model takes no image of this size."""
    received = f"Received: {size[0]}x{size[1]}"
    expected = image_spec(model).shape[1:3]
    if not expected.is_compatible_with(size):
        wanted = "x".join("any" if side is None else str(side) for side in expected)
        raise ValueError(f"{what}: the model takes images of {wanted} (height x width). {received}")
    if isinstance(model, SegmentationModel) and min(size) < MINIMUM_SIZE:
        raise ValueError(
            f"{what}: expected at least {MINIMUM_SIZE} pixels in height and width. {received}"
        )


def check_num_classes(model: keras.Model, num_classes: int) -> None:
    """Raises a ValueError where the model has no logits, or logits of another number of classes."""
    outputs: Any = getattr(model, "output", None)
    if isinstance(outputs, dict) and LOGITS not in outputs:
        raise ValueError(
            f"`model` must put out {LOGITS!r}. Received: a model with the outputs "
            f"{', '.join(map(repr, outputs))}"
        )
    logits = outputs[LOGITS] if isinstance(outputs, dict) else outputs
    if logits is not None and logits.shape[-1] != num_classes:
        raise ValueError(
            f"`num_classes` disagrees with the model: its logits have {logits.shape[-1]} classes. "
            f"Received: num_classes={num_classes}"
        )


class Passes:
    """Three graphs, each traced once.

    Attributes:
        spec: of the images that the model takes.
        plain: `plain_labels` as a graph.
        scores: from images, the size that the model sees them at and the result's size to scores
            (batch, height, width, classes), averaged with the mirror image's where the protocol
            says so, and whether all logits of an image are finite, (batch,) bool.
        decide: from averaged scores to labels and their probabilities.

    Args:
        model: takes float images, RGB in 0 ... 255; returns logits, or a dict with "logits".
        protocol: says what is averaged.
    """

    def __init__(self, model: keras.Model, protocol: Protocol):
        self._model = model
        self._protocol = protocol
        self.spec = image_spec(model)
        shape = (None, None, None, self.spec.shape[-1])
        images = tf.TensorSpec(shape, tf.float32, name="images")
        size = tf.TensorSpec((2,), tf.int32, name="size")
        scores = tf.TensorSpec((None, None, None, None), tf.float32, name="scores")
        self.plain = tf.function(self.plain_labels, (self.spec, size), autograph=False)
        self.scores = tf.function(self._scores, (images, size, size), autograph=False)
        self.decide = tf.function(self._decide, (scores,), autograph=False)

    @property
    def classes(self) -> int | None:
        """Number of classes, where the model tells it before it runs."""
        return self.scores.get_concrete_function().structured_outputs[0].shape[-1]

    def plain_labels(self, images, size):
        """One pass over whole images: tensors of labels, confidence, and whether it is finite."""
        logits = full_size_logits(self._model, images, size)
        labels = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return labels, _largest_probability(logits), _all_finite(logits)

    def _scores(self, images, scaled, size):
        """Scores at `size`, averaged over the mirror image, and whether the logits are finite."""
        same = tf.reduce_all(tf.equal(tf.shape(images)[1:3], scaled))
        images = tf.cond(same, lambda: images, lambda: resize_bilinear(images, scaled))
        images.set_shape(self.spec.shape)
        scores, finite = self._one_pass(images, size)
        if self._protocol.flip:
            mirrored, also_finite = self._one_pass(tf.reverse(images, axis=[2]), size)
            scores = (scores + tf.reverse(mirrored, axis=[2])) / 2
            finite = tf.logical_and(finite, also_finite)
        return scores, finite

    def _one_pass(self, images, size):
        logits = full_size_logits(self._model, images, size)
        finite = _all_finite(logits)
        return (logits if self._protocol.average == "logits" else tf.nn.softmax(logits)), finite

    def _decide(self, scores):
        labels = tf.argmax(scores, axis=-1, output_type=tf.int32)
        if self._protocol.average == "logits":
            return labels, _largest_probability(scores)
        return labels, tf.reduce_max(scores, axis=-1)


def _largest_probability(logits: tf.Tensor) -> tf.Tensor:
    return tf.exp(tf.reduce_max(logits, axis=-1) - tf.reduce_logsumexp(logits, axis=-1))


def _all_finite(logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(logits), axis=(1, 2, 3))
