"""From an image to its label map: the one way that all of evaluation and prediction takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.evaluation.full_size import (
    check_image,
    check_input_size,
    full_size_logits,
    image_spec,
)
from keras_ctxseg.evaluation.linear_parts import Span, resize_part, source_span
from keras_ctxseg.evaluation.protocol import Protocol
from keras_ctxseg.evaluation.window_grid import WindowAxis
from keras_ctxseg.evaluation.window_rows import WindowRows, spans
from keras_ctxseg.layers.resize import resize_bilinear

STRIP = 64  # rows of the result that are finished together

Size = tuple[int, int]


class Prediction(NamedTuple):
    """Label maps of a batch.

    Attributes:
        labels: (batch, height, width) int32 class ids.
        confidence: (batch, height, width) float32, the probability of that class.
        finite: (batch,) bool, whether all of the network's logits were finite.
    """

    labels: np.ndarray
    confidence: np.ndarray
    finite: np.ndarray


class Predictor:
    """Predicts label maps at any size, whole or in windows, at one scale or several.

    One scale without mirror image and windows is the network's own prediction: its logits,
    resized to the result (bilinear, half-pixel centres), then argmax. With more passes each one's
    logits are resized to the result and their probabilities (or the logits) averaged. In windows,
    each window's scores are blended at the scaled image's size, then resized. Windows that hold
    the whole image at every scale are the same as none.

    Windows are worked off in strips: in memory are the image, the result, and scores of as many
    rows as a window is high, over the whole width or, beyond `score_memory`, over parts of it.

    One graph serves all sizes and scales, and follows the model's weights.

    Args:
        model: takes float RGB images in 0 ... 255; returns logits, or a dict with "logits".
        protocol: how the network sees an image; the plain prediction where missing.
        batch_size: most windows that go through the model together.
        score_memory: bytes that blended scores may take.
        **options: fields of `Protocol`, on top of `protocol`.

    Raises:
        ValueError: a protocol that cannot be, or Keras does not run on TensorFlow.

    Example:

    >>> predictor = keras_ctxseg.evaluation.Predictor(model, scales=(0.5, 1.0), flip=True)
    >>> labels = predictor(images).labels
    """

    def __init__(
        self,
        model: keras.Model,
        protocol: Protocol | None = None,
        batch_size: int = 8,
        score_memory: int = 2**30,
        **options,
    ):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "Predictor needs Keras on TensorFlow. "
                f"Received: the backend {keras.backend.backend()!r}"
            )
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        if options:
            protocol = replace(protocol or Protocol(), **options)
        self.model = model
        self.protocol = protocol or Protocol()
        self.batch_size = batch_size
        self.score_memory = score_memory
        self._spec = image_spec(model)
        images = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")
        size = tf.TensorSpec((2,), tf.int32, name="size")
        scores = tf.TensorSpec((None, None, None, None), tf.float32, name="scores")
        self._plain = tf.function(self.plain_labels, (self._spec, size), autograph=False)
        self._passes = tf.function(self._scores_of, (images, size, size), autograph=False)
        self._decide = tf.function(self._labels_of, (scores,), autograph=False)

    def __call__(self, images: np.ndarray, size: Size | None = None) -> Prediction:
        """Labels of images of one size.

        Args:
            images: (batch, image_height, image_width, 3), RGB in 0 ... 255.
            size: height and width of the result; the images' own where missing.

        Raises:
            ValueError: images of a shape that the model does not take.
        """
        images, size = self.checked(images, size)
        is_whole = self._is_whole(images.shape[1:3])
        if is_whole and self.protocol.is_one_pass:
            ids, sure, finite = self._plain(_floats(images), size)
            return Prediction(ids.numpy(), sure.numpy(), finite.numpy())
        if is_whole:
            scores, finite = self._whole_scores(images, size)
            ids, sure = self._decide(scores)
            return Prediction(ids.numpy(), sure.numpy(), finite.numpy())
        labels = np.empty((len(images), *size), np.int32)
        confidence = np.empty((len(images), *size), np.float32)
        finite = np.ones(len(images), bool)
        for k, image in enumerate(images):
            for rows, columns, scores, sound in self._strips(image, size):
                ids, sure = self._decide(scores[None])
                labels[k, slice(*rows), slice(*columns)] = ids[0]
                confidence[k, slice(*rows), slice(*columns)] = sure[0]
                finite[k] &= sound
        return Prediction(labels, confidence, finite)

    def label(self, image: np.ndarray, size: Size | None = None, name: str = "image") -> np.ndarray:
        """Class ids of one image, (height, width) int32.

        Args:
            image: (image_height, image_width, 3), RGB in 0 ... 255.
            size: height and width of the result; the image's own where missing.
            name: what an error calls the image.
        """
        image = np.asarray(image)
        self.check(image, name)
        return self(image[None], size).labels[0]

    def scores(self, images: np.ndarray, size: Size | None = None) -> np.ndarray:
        """The averaged scores themselves, (batch, height, width, classes) float32.

        Probabilities or logits, as the protocol averages; all of them at once in memory.
        Args and errors as for a call.
        """
        images, size = self.checked(images, size)
        if self._is_whole(images.shape[1:3]):
            return self._whole_scores(images, size)[0].numpy()
        result: np.ndarray | None = None
        for k, image in enumerate(images):
            for rows, columns, scores, _ in self._strips(image, size):
                if result is None:
                    result = np.empty((len(images), *size, scores.shape[-1]), np.float32)
                result[k, slice(*rows), slice(*columns)] = scores
        assert result is not None
        return result

    def check(self, image: np.ndarray, name: str) -> None:
        """Raises a ValueError that names the image where the model cannot take it so."""
        check_image(image, name)
        for scale, size in zip(self.protocol.scales, self._scaled(image.shape[:2]), strict=True):
            what = f"image {name!r}" if scale == 1 else f"image {name!r} at scale {scale:g}"
            check_input_size(self.model, self._window_of(size), what)

    def checked(self, images: np.ndarray, size: Size | None) -> tuple[np.ndarray, Size]:
        """The images as an array, and the size of the result; errors as for a call."""
        images = np.asarray(images)
        if images.ndim != 4 or not len(images):
            raise ValueError(
                "`images` must be (batch, height, width, 3), one image or more. "
                f"Received: {images.shape}"
            )
        self.check(images[0], "0 of the batch")
        height, width = images.shape[1:3] if size is None else size
        return images, (int(height), int(width))

    def _scaled(self, size: Size) -> list[Size]:
        return [
            (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))
            for scale in self.protocol.scales
        ]

    def _window_of(self, scaled: Size) -> Size:
        """The size that the network sees of an image of this scaled size."""
        window = self.protocol.window
        if window is None:
            return scaled
        fixed = None not in self._spec.shape[1:3]
        if self.protocol.pad_to_window or fixed:
            return window
        return (min(window[0], scaled[0]), min(window[1], scaled[1]))

    def _is_whole(self, size: Size) -> bool:
        return all(self._window_of(scaled) == scaled for scaled in self._scaled(size))

    def _whole_scores(self, images: np.ndarray, size: Size) -> tuple[tf.Tensor, tf.Tensor]:
        images = _floats(images)
        first, *others = self._scaled(images.shape[1:3])
        total, all_finite = self._passes(images, first, size)
        for scaled in others:
            scores, finite = self._passes(images, scaled, size)
            total += scores
            all_finite = tf.logical_and(all_finite, finite)
        return total / len(self.protocol.scales), all_finite

    def _strips(
        self, image: np.ndarray, size: Size
    ) -> Iterator[tuple[Span, Span, np.ndarray, bool]]:
        """Rows, columns, scores (rows, columns, classes), finite?, until the result is covered."""
        sizes = self._scaled(image.shape[:2])
        axes = [self._axes(scaled) for scaled in sizes]
        sound = True

        def run(windows: np.ndarray) -> np.ndarray:
            nonlocal sound
            scores, finite = self._passes(windows, windows.shape[1:3], windows.shape[1:3])
            sound &= bool(tf.reduce_all(finite))
            return scores.numpy()

        for columns in spans(size[1], self._bands(size, sizes, axes)):
            streams = [
                WindowRows(
                    image,
                    scaled,
                    source_span(columns, size[1], scaled[1]),
                    pair,
                    run,
                    self.batch_size,
                    most_rows=_most_rows(size, scaled),
                )
                for scaled, pair in zip(sizes, axes, strict=True)
            ]
            for rows in spans(size[0], math.ceil(size[0] / STRIP)):
                parts = (
                    resize_part(
                        stream.take(source_span(rows, size[0], scaled[0])),
                        rows,
                        columns,
                        size,
                        scaled,
                    )
                    for scaled, stream in zip(sizes, streams, strict=True)
                )
                total = np.array(next(parts))
                for part in parts:
                    total += part
                total /= len(sizes)
                yield rows, columns, total, sound

    def _axes(self, scaled: Size) -> tuple[WindowAxis, WindowAxis]:
        window = self._window_of(scaled)
        stride = self.protocol.stride or window
        down, across = (
            WindowAxis(scaled[k], window[k], min(stride[k], window[k]), self.protocol.blend)
            for k in range(2)
        )
        return down, across

    def _bands(self, size: Size, sizes: list[Size], axes) -> int:
        """Into how many parts the width is cut, so that the scores keep to `score_memory`."""
        classes = self._passes.get_concrete_function().structured_outputs[0].shape[-1] or 1
        values = sum(
            (pair[0].window + _most_rows(size, scaled)) * scaled[1] * classes
            for scaled, pair in zip(sizes, axes, strict=True)
        )
        return max(min(math.ceil(4 * values / self.score_memory), size[1] // STRIP), 1)

    def plain_labels(self, images, size):
        """One pass over whole images: tensors of labels, confidence, and whether it is finite."""
        logits = full_size_logits(self.model, images, size)
        labels = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return labels, _largest_probability(logits), _all_finite(logits)

    def _scores_of(self, images, scaled, size):
        """Scores at `size`, averaged over the mirror image, and whether the logits are finite."""
        same = tf.reduce_all(tf.equal(tf.shape(images)[1:3], scaled))
        images = tf.cond(same, lambda: images, lambda: resize_bilinear(images, scaled))
        images.set_shape(self._spec.shape)
        scores, finite = self._one_pass(images, size)
        if self.protocol.flip:
            mirrored, also_finite = self._one_pass(tf.reverse(images, axis=[2]), size)
            scores = (scores + tf.reverse(mirrored, axis=[2])) / 2
            finite = tf.logical_and(finite, also_finite)
        return scores, finite

    def _one_pass(self, images, size):
        logits = full_size_logits(self.model, images, size)
        finite = _all_finite(logits)
        return (logits if self.protocol.average == "logits" else tf.nn.softmax(logits)), finite

    def _labels_of(self, scores):
        labels = tf.argmax(scores, axis=-1, output_type=tf.int32)
        if self.protocol.average == "logits":
            return labels, _largest_probability(scores)
        return labels, tf.reduce_max(scores, axis=-1)


def _most_rows(size: Size, scaled: Size) -> int:
    """Most scaled rows that a strip of the result is interpolated from."""
    return math.ceil((STRIP + 1) * scaled[0] / size[0]) + 2


def _floats(images: np.ndarray) -> np.ndarray:
    return np.asarray(images, np.float32)


def _largest_probability(logits: tf.Tensor) -> tf.Tensor:
    return tf.exp(tf.reduce_max(logits, axis=-1) - tf.reduce_logsumexp(logits, axis=-1))


def _all_finite(logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(logits), axis=(1, 2, 3))
