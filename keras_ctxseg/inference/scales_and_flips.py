"""What runs through the network, as graphs that serve all sizes and follow the weights."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_ctxseg.inference.full_size import full_size_logits, image_spec
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.layers.resize import resize_bilinear


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
        model: takes float RGB images in 0 ... 255; returns logits, or a dict with "logits".
        protocol: says what is averaged.
    """

    def __init__(self, model: keras.Model, protocol: Protocol):
        self._model = model
        self._protocol = protocol
        self.spec = image_spec(model)
        images = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")
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
