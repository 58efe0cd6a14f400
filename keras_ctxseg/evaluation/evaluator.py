"""Scores a model the way the papers do: at each label map's own size, over all pixels together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.evaluation.image_counts import ImageCounts, count_image
from keras_ctxseg.evaluation.result import EvaluationResult
from keras_ctxseg.evaluation.scored_images import ImageScore, background_class
from keras_ctxseg.evaluation.size_batches import (
    Example,
    batches_of_equal_size,
    example_name,
)
from keras_ctxseg.inference.full_size import check_num_classes
from keras_ctxseg.inference.panoptic import PanopticPredictor
from keras_ctxseg.inference.predictor import Predictor
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.inference.replicas import on_replicas
from keras_ctxseg.labels.panoptic import IGNORE_LABEL, class_ids
from keras_ctxseg.metrics.bootstrap import check_block
from keras_ctxseg.metrics.panoptic_quality import (
    PanopticCounts,
    PanopticScores,
    count_segments,
    panoptic_scores,
)
from keras_ctxseg.metrics.scores import scores_from_confusion
from keras_ctxseg.panoptic.options import GroupingOptions
from keras_ctxseg.prediction.progress import track


class Evaluator:
    """Compares a model's predictions with label maps, pixel by pixel.

    A `Predictor` labels the images at each label map's own size. Images of equal size go through
    the model together. One graph serves all sizes and stays in use as long as the evaluator lives,
    so keep one for the validations of a whole training. All scores come from one pass; counts are
    whole numbers by image, so that no score depends on the batches. A model that was built under a
    `tf.distribute` strategy works on all its replicas; all workers pass the same examples and get
    the same result.

    Args:
        model: takes float RGB images in 0 ... 255; returns logits, or a dict with "logits".
        num_classes: number of classes.
        ignore_label: label pixels with this id count nowhere.
        class_names: for tables and reports; the ids where missing.
        batch_size: most images that go through the model together.
        progress: draw a progress bar in the terminal.
        protocol: scales, mirror images, windows; the plain prediction where missing.
        details: score contours and calibration too.
        thing_classes: ids of the classes whose objects are told apart. Label maps are panoptic
            ones then, class + 1024 * instance, the model puts out centres, and panoptic quality is
            scored too.
        grouping: how centres and offsets become segments.
        on_segments: called with the name, the label map and the predicted segments of each image,
            both panoptic label maps, in any order.
        block: images in a row that intervals draw together; for frames of a video, as many as stay
            alike.

    Raises:
        ValueError: `num_classes` or `class_names` disagrees with the model, or Keras does not run
            on TensorFlow.
    """

    def __init__(
        self,
        model: keras.Model,
        num_classes: int,
        ignore_label: int = IGNORE_LABEL,
        class_names: Sequence[str] | None = None,
        batch_size: int = 8,
        progress: bool = False,
        protocol: Protocol | None = None,
        details: bool = True,
        thing_classes: Sequence[int] = (),
        grouping: GroupingOptions | None = None,
        on_segments: Callable[[str, np.ndarray, np.ndarray], None] | None = None,
        block: int = 1,
    ):
        check_num_classes(model, num_classes)
        names = tuple(class_names or (str(k) for k in range(num_classes)))
        if len(names) != num_classes:
            raise ValueError(
                f"`class_names` must name {num_classes} classes. Received: {len(names)} names"
            )
        self.predictor = Predictor(model, protocol, batch_size)
        self._predict = (
            PanopticPredictor(model, thing_classes, ignore_label, grouping, protocol)
            if thing_classes
            else on_replicas(self.predictor)
        )
        self.model = model
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.class_names = names
        self.batch_size = batch_size
        self.progress = progress
        self.details = details
        self.thing_classes = tuple(thing_classes)
        self.on_segments = on_segments
        self.block = block

    def __call__(self, examples: Iterable[Mapping[str, Any]]) -> EvaluationResult:
        """Scores all examples.

        Args:
            examples: a `tf.data.Dataset` or any iterable of unbatched dicts: `image` float
                (image_height, image_width, 3), `label` integer (height, width), `name`.

        Raises:
            ValueError: no examples or fewer than two blocks of them, an image or a label map of a
                shape that does not fit, a label id that is neither a class nor the ignore label, or
                logits that are not finite. All of one image name it.
        """
        start = time.perf_counter()
        counts: dict[int, ImageCounts] = {}
        scores: dict[int, ImageScore] = {}
        segments: dict[int, PanopticCounts] = {}
        total = len(examples) if isinstance(examples, Sequence) else _cardinality(examples)
        if total:
            check_block(total, self.block)
        stream = track(self._read(examples), "Evaluating", total, self.progress)
        for batch in batches_of_equal_size(stream, self.batch_size, 4 * self.batch_size):
            images = np.stack([example.image for example in batch])
            predicted = self._predict(images, batch[0].label.shape)
            for example, *prediction in zip(batch, *predicted, strict=True):
                counts[example.index] = self._count(example, *prediction[:3])
                if self.thing_classes:
                    segments[example.index] = self._count_segments(example, prediction[3])
                scores[example.index] = _image_score(
                    example, counts[example.index].confusion.dense(self.num_classes)
                )
        if not scores:
            raise ValueError("There is nothing to evaluate. Received: no examples")
        order = sorted(scores)
        confusion = np.zeros((self.num_classes, self.num_classes), np.int64)
        for one in counts.values():
            confusion += one.confusion.dense(self.num_classes)
        return EvaluationResult(
            scores=scores_from_confusion(confusion, background_class(self.class_names)),
            confusion=confusion,
            images=tuple(scores[k] for k in order),
            class_names=self.class_names,
            ignore_label=self.ignore_label,
            seconds=time.perf_counter() - start,
            counts=tuple(counts[k] for k in order),
            protocol=self.predictor.protocol,
            panoptic=self._panoptic_scores([segments[k] for k in order if k in segments]),
            block=self.block,
        )

    def predict(
        self,
        image: np.ndarray,
        size: tuple[int, int] | None = None,
        name: str = "image",
    ) -> np.ndarray:
        """The predicted class ids of one image: `Predictor.label`."""
        return self.predictor.label(image, size, name)

    def predict_segments(
        self,
        image: np.ndarray,
        size: tuple[int, int] | None = None,
        name: str = "image",
    ) -> np.ndarray:
        """The predicted panoptic label map of one image, (height, width) int32."""
        if not isinstance(self._predict, PanopticPredictor):
            raise ValueError("`predict_segments` needs an evaluator with `thing_classes`")
        image = np.asarray(image)
        self.predictor.check(image, name)
        return self._predict(image[None], size).panoptic[0]

    def _read(self, examples) -> Iterator[Example]:
        for index, raw in enumerate(examples):
            name = example_name(raw)
            image = np.asarray(raw["image"], np.float32)
            label = np.asarray(raw["label"])
            self.predictor.check(image, name)
            if label.ndim != 2 or not np.issubdtype(label.dtype, np.integer):
                raise ValueError(
                    f"image {name!r}: expected a label map of integers, (height, width). "
                    f"Received: {label.dtype} of shape {label.shape}"
                )
            label = label.astype(np.int32)
            if self.thing_classes:
                yield Example(index, name, image, class_ids(label), label)
            else:
                yield Example(index, name, image, label)

    def _count(self, example: Example, labels, confidence, finite) -> ImageCounts:
        if not finite:
            raise ValueError(
                f"image {example.name!r}: the model's logits are not finite (NaN or "
                "infinite); the training has probably diverged."
            )
        try:
            return count_image(
                example.label,
                labels,
                confidence if self.details else None,
                self.num_classes,
                self.ignore_label,
            )
        except ValueError as error:
            raise ValueError(f"label map of image {example.name!r}: {error}") from None

    def _count_segments(self, example: Example, predicted: np.ndarray) -> PanopticCounts:
        assert example.panoptic is not None
        if self.on_segments is not None:
            self.on_segments(example.name, example.panoptic, predicted)
        return count_segments(example.panoptic, predicted, self.num_classes, self.ignore_label)

    def _panoptic_scores(self, images: Sequence[PanopticCounts]) -> PanopticScores | None:
        if not self.thing_classes:
            return None
        total = sum(images, PanopticCounts.none(self.num_classes))
        return panoptic_scores(total, self.thing_classes)


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
    count = int(examples.cardinality()) if isinstance(examples, tf.data.Dataset) else -1
    return count if count >= 0 else None
