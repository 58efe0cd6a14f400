"""Scores a model the way the papers do: at each label map's own size, over all pixels together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.evaluation.full_size import (
    check_image,
    check_num_classes,
    full_size_logits,
    image_spec,
)
from keras_ctxseg.evaluation.progress import track
from keras_ctxseg.evaluation.result import EvaluationResult, ImageScore
from keras_ctxseg.evaluation.size_batches import (
    Example,
    batches_of_equal_size,
    example_name,
)
from keras_ctxseg.metrics.scores import scores_from_confusion


class Evaluator:
    """Compares a model's predictions with label maps, pixel by pixel.

    Logits are resized to each label map's own size (bilinear, half-pixel centres) before the
    argmax. Images of equal size go through the model together. One graph serves all sizes and stays
    in use as long as the evaluator lives, so keep one for the validations of a whole training.

    Args:
        model: takes float RGB images in 0 ... 255; returns logits, or a dict with "logits".
        num_classes: number of classes.
        ignore_label: label pixels with this id count nowhere.
        class_names: for tables and reports; the ids where missing.
        batch_size: most images that go through the model together.
        progress: draw a progress bar in the terminal.

    Raises:
        ValueError: `num_classes` or `class_names` disagrees with the model, or Keras does not run
            on TensorFlow.
    """

    def __init__(
        self,
        model: keras.Model,
        num_classes: int,
        ignore_label: int = 255,
        class_names: Sequence[str] | None = None,
        batch_size: int = 8,
        progress: bool = False,
    ):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "Evaluator needs Keras on TensorFlow. "
                f"Received: the backend {keras.backend.backend()!r}"
            )
        check_num_classes(model, num_classes)
        names = tuple(class_names or (str(k) for k in range(num_classes)))
        if len(names) != num_classes:
            raise ValueError(
                f"`class_names` must name {num_classes} classes. Received: {len(names)} names"
            )
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        self.model = model
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.class_names = names
        self.batch_size = batch_size
        self.progress = progress
        images = image_spec(model)
        label_maps = tf.TensorSpec((None, None, None), tf.int32, name="labels")
        size = tf.TensorSpec((2,), tf.int32, name="size")
        self._count = tf.function(self._count_pixels, (images, label_maps), autograph=False)
        self._label = tf.function(self._label_pixels, (images, size), autograph=False)

    def __call__(self, examples: Iterable[Mapping[str, Any]]) -> EvaluationResult:
        """Scores all examples.

        Args:
            examples: a `tf.data.Dataset` or any iterable of unbatched dicts: `image` float
                (image_height, image_width, 3), `label` integer (height, width), `name`.

        Raises:
            ValueError: no examples, an image or a label map of a shape that does not fit, a label
                id that is neither a class nor the ignore label, or logits that are not finite. All
                but the first name the image.
        """
        start = time.perf_counter()
        confusion = np.zeros((self.num_classes, self.num_classes), np.int64)
        scores: dict[int, ImageScore] = {}
        total = len(examples) if isinstance(examples, Sequence) else _cardinality(examples)
        stream = track(self._read(examples), "Evaluating", total, self.progress)
        for batch in batches_of_equal_size(stream, self.batch_size, 4 * self.batch_size):
            images = np.stack([example.image for example in batch])
            labels = np.stack([example.label for example in batch])
            matrices, wrong, finite = (array.numpy() for array in self._count(images, labels))
            for example, matrix, bad, sound in zip(batch, matrices, wrong, finite, strict=True):
                if bad:
                    self._refuse_label(example)
                if not sound:
                    raise ValueError(
                        f"image {example.name!r}: the model's logits are not finite (NaN or "
                        "infinite); the training has probably diverged."
                    )
                confusion += matrix
                scores[example.index] = _image_score(example, matrix)
        if not scores:
            raise ValueError("There is nothing to evaluate. Received: no examples")
        return EvaluationResult(
            scores=scores_from_confusion(confusion),
            confusion=confusion,
            images=tuple(scores[index] for index in sorted(scores)),
            class_names=self.class_names,
            ignore_label=self.ignore_label,
            seconds=time.perf_counter() - start,
        )

    def predict(
        self,
        image: np.ndarray,
        size: tuple[int, int] | None = None,
        name: str = "image",
    ) -> np.ndarray:
        """The predicted class ids of one image.

        Args:
            image: (image_height, image_width, 3), RGB in 0 ... 255.
            size: height and width of the result; the image's own where missing.
            name: what an error calls the image.

        Returns:
            (height, width) int32.

        Raises:
            ValueError: an image of a shape that the model does not take.
        """
        image = np.asarray(image, np.float32)
        check_image(self.model, image, name)
        size = image.shape[:2] if size is None else size
        return self._label(image[None], np.asarray(size, np.int32))[0].numpy()

    def _read(self, examples) -> Iterator[Example]:
        for index, raw in enumerate(examples):
            name = example_name(raw)
            image = np.asarray(raw["image"], np.float32)
            label = np.asarray(raw["label"])
            check_image(self.model, image, name)
            if label.ndim != 2 or not np.issubdtype(label.dtype, np.integer):
                raise ValueError(
                    f"image {name!r}: expected a label map of integers, (height, width). "
                    f"Received: {label.dtype} of shape {label.shape}"
                )
            yield Example(index, name, image, label.astype(np.int32))

    def _label_pixels(self, images, size):
        logits = full_size_logits(self.model, images, size)
        return tf.argmax(logits, axis=-1, output_type=tf.int32)

    def _count_pixels(self, images, labels):
        """For each image: confusion matrix, number of wrong labels, are its logits finite?"""
        classes = self.num_classes
        logits = full_size_logits(self.model, images, tf.shape(labels)[1:3])
        finite = tf.reduce_all(tf.math.is_finite(logits), axis=(1, 2, 3))
        predictions = tf.argmax(logits, axis=-1, output_type=tf.int32)
        is_class = (labels >= 0) & (labels < classes)
        ignored = labels == self.ignore_label
        # One bin for each pair of label and prediction, one for wrong labels, one for ignored ones.
        cells = classes * classes
        bins = tf.where(is_class, labels * classes + predictions, cells)
        bins = tf.where(ignored, cells + 1, bins)
        batch = tf.shape(labels)[0]
        first = tf.range(batch)[:, None, None] * (cells + 2)
        counts = tf.math.bincount(tf.reshape(first + bins, (-1,)), minlength=batch * (cells + 2))
        counts = tf.reshape(counts, (batch, cells + 2))
        return (
            tf.reshape(counts[:, :cells], (batch, classes, classes)),
            counts[:, cells],
            finite,
        )

    def _refuse_label(self, example: Example) -> None:
        ids = np.unique(example.label)
        known = ((ids >= 0) & (ids < self.num_classes)) | (ids == self.ignore_label)
        raise ValueError(
            f"label map of image {example.name!r}: expected class ids 0 ... "
            f"{self.num_classes - 1} or the ignore label {self.ignore_label}. "
            f"Received also: {ids[~known][:10].tolist()}"
        )


def _image_score(example: Example, matrix: np.ndarray) -> ImageScore:
    scores = scores_from_confusion(matrix)
    height, width = example.label.shape
    return ImageScore(
        name=example.name,
        height=height,
        width=width,
        valid_pixels=int(matrix.sum()),
        mean_iou=scores.mean_iou,
        pixel_accuracy=scores.pixel_accuracy,
    )


def _cardinality(examples) -> int | None:
    return int(examples.cardinality()) if isinstance(examples, tf.data.Dataset) else None
