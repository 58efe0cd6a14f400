"""From an image to its label map: the one way that all of evaluation and prediction takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.inference.full_size import Passes, check_image, check_input_size
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.inference.windows import (
    MEAN_COLOR,
    Span,
    WindowAxis,
    WindowRows,
    resize_part,
    source_span,
    spans,
)
from keras_ctxseg.layers.normalize_images import normalization_in

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

    Examples:
        >>> predictor = keras_ctxseg.evaluation.Predictor(model, scales=(0.5, 1.0), flip=True)
        >>> labels = predictor(images).labels
    """

    def __init__(
        self,
        model: keras.Model,
        protocol: Protocol | None = None,
        batch_size: int = 8,
        score_memory: int = 2**30,
        **options: Any,
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
        self.passes = Passes(model, self.protocol)

    def __call__(self, images: np.ndarray, size: Size | None = None) -> Prediction:
        """Labels of images of one size.

        Args:
            images: (batch, image_height, image_width, channels); RGB in 0 ... 255.
            size: height and width of the result; the images' own where missing.

        Raises:
            ValueError: images of a shape that the model does not take.
        """
        images, size = self.checked(images, size)
        is_whole = self._is_whole(images.shape[1:3])
        if is_whole and self.protocol.is_one_pass:
            ids, sure, finite = self.passes.plain(_floats(images), size)
            return Prediction(ids.numpy(), sure.numpy(), finite.numpy())
        if is_whole:
            scores, finite = self._whole_scores(images, size)
            ids, sure = self.passes.decide(scores)
            return Prediction(ids.numpy(), sure.numpy(), finite.numpy())
        labels = np.empty((len(images), *size), np.int32)
        confidence = np.empty((len(images), *size), np.float32)
        finite = np.ones(len(images), bool)
        for k, image in enumerate(images):
            for rows, columns, scores, sound in self._strips(image, size):
                ids, sure = self.passes.decide(scores[None])
                labels[k, slice(*rows), slice(*columns)] = ids[0]
                confidence[k, slice(*rows), slice(*columns)] = sure[0]
                finite[k] &= sound
        return Prediction(labels, confidence, finite)

    def label(self, image: np.ndarray, size: Size | None = None, name: str = "image") -> np.ndarray:
        """Class ids of one image, (height, width) int32.

        Args:
            image: (image_height, image_width, channels); RGB in 0 ... 255.
            size: height and width of the result; the image's own where missing.
            name: what an error calls the image.
        """
        image = np.asarray(image)
        self.check(image, name)
        return self(image[None], size).labels[0]

    def strips(self, image: Any, name: str = "image") -> Iterator[tuple[Span, Span, np.ndarray]]:
        """Class ids of a large image part by part, in memory that does not grow with its height.

        Args:
            image: an array, or what is sliced like one and reads from a file then.
            name: what an error calls the image.

        Yields:
            First and last (exclusive) row, first and last column, and the ids int32 of this part,
            until the image is covered.
        """
        self.check(image, name)
        for rows, columns, scores, _ in self._strips(image, image.shape[:2]):
            yield rows, columns, self.passes.decide(scores[None])[0][0].numpy()

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
        check_image(image, name, self.passes.spec.shape[-1])
        for scale, size in zip(self.protocol.scales, self._scaled(image.shape[:2]), strict=True):
            what = f"image {name!r}" if scale == 1 else f"image {name!r} at scale {scale:g}"
            check_input_size(self.model, self._window_of(size), what)

    def checked(self, images: np.ndarray, size: Size | None) -> tuple[np.ndarray, Size]:
        """The images as an array, and the size of the result; errors as for a call."""
        images = np.asarray(images)
        if images.ndim != 4 or not len(images):
            raise ValueError(
                "`images` must be (batch, height, width, channels), one image or more. "
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
        fixed = None not in self.passes.spec.shape[1:3]
        if self.protocol.pad_to_window or fixed:
            return window
        return (min(window[0], scaled[0]), min(window[1], scaled[1]))

    def _is_whole(self, size: Size) -> bool:
        return all(self._window_of(scaled) == scaled for scaled in self._scaled(size))

    def _whole_scores(self, images: np.ndarray, size: Size) -> tuple[tf.Tensor, tf.Tensor]:
        images = _floats(images)
        first, *others = self._scaled(images.shape[1:3])
        total, all_finite = self.passes.scores(images, first, size)
        for scaled in others:
            scores, finite = self.passes.scores(images, scaled, size)
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
            scores, finite = self.passes.scores(windows, windows.shape[1:3], windows.shape[1:3])
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
                    padding=_padding(self.model, image.shape[-1]),
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
        values = sum(
            (pair[0].window + _most_rows(size, scaled)) * scaled[1] * (self.passes.classes or 1)
            for scaled, pair in zip(sizes, axes, strict=True)
        )
        return max(min(math.ceil(4 * values / self.score_memory), size[1] // STRIP), 1)


def _most_rows(size: Size, scaled: Size) -> int:
    """Most scaled rows that a strip of the result is interpolated from."""
    return math.ceil((STRIP + 1) * scaled[0] / size[0]) + 2


def _padding(model: keras.Model, channels: int) -> Sequence[float]:
    """What windows show beyond an image, a number a channel: the mean of the training images."""
    normalize = normalization_in(model)
    if channels == 3 or normalize is None:
        return MEAN_COLOR if channels == 3 else [0.0] * channels
    return normalize.mean


def _floats(images: np.ndarray) -> np.ndarray:
    return np.asarray(images, np.float32)
