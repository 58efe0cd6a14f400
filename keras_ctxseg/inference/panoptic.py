"""From images to classes and segments: the graph that groups pixels, and its predictor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.inference.full_size import image_spec
from keras_ctxseg.inference.predictor import Predictor, Size
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.labels.panoptic import IGNORE_LABEL, is_panoptic
from keras_ctxseg.layers.resize import resize_bilinear
from keras_ctxseg.panoptic import Segments, merge_segments
from keras_ctxseg.panoptic.options import GroupingOptions


def check_panoptic_model(model: keras.Model, thing_classes: Sequence[int]) -> None:
    """Raises a ValueError unless the model tells instances apart, of these classes."""
    outputs = getattr(model, "output", None)
    if not (isinstance(outputs, dict) and is_panoptic(outputs)):
        raise ValueError(
            "`model` must put out 'center_heatmap' and 'center_offsets', as `rsp_panoptic_*` does. "
            f"Received: {getattr(model, 'name', model)!r}"
        )
    classes = outputs["logits"].shape[-1]
    if not thing_classes or not all(0 <= k < classes for k in thing_classes):
        raise ValueError(
            f"`thing_classes` must be ids in 0 ... {classes - 1}, one at least. "
            f"Received: {list(thing_classes)}"
        )


def full_size_outputs(outputs: dict, images: tf.Tensor, size: tf.Tensor) -> dict:
    """A panoptic model's outputs for `images` at another size, offsets in pixels of that size.

    Args:
        outputs: `logits`, `center_heatmap`, `center_offsets`, (batch, h, w, ...).
        images: (batch, h, w, 3), what the model saw.
        size: (2,) int32, height and width of the result.
    """
    given = tf.shape(images)[1:3]
    names = ("logits", "center_heatmap", "center_offsets")
    maps = [tf.cast(outputs[name], tf.float32) for name in names]

    def resized():
        logits, heatmap, offsets = (resize_bilinear(each, size) for each in maps)
        return logits, heatmap, offsets * tf.cast(size / given, tf.float32)

    same = tf.reduce_all(tf.equal(given, size))
    results = tf.cond(same, lambda: tuple(maps), resized)
    for result, each in zip(results, maps, strict=True):
        result.set_shape((None, None, None, each.shape[-1]))
    return dict(zip(names, results, strict=True))


def segments(
    outputs: dict,
    thing_classes: Sequence[int],
    ignore_label: int,
    options: GroupingOptions,
) -> tuple[tf.Tensor, tf.Tensor, Segments]:
    """Classes, their probabilities, and the segments of each image.

    Args:
        outputs: at full size; see `full_size_outputs`.
        thing_classes: ids of the classes whose objects are told apart.
        ignore_label: the label of void pixels.
        options: of grouping and merging.

    Returns:
        int32 and float32 (batch, height, width), and `Segments` with a first axis of images. One
        image after the other, so that memory stays that of one.
    """
    logits = outputs["logits"]
    num_classes = logits.shape[-1]
    classes = tf.argmax(logits, axis=-1, output_type=tf.int32)
    confidence = tf.exp(tf.reduce_max(logits, axis=-1) - tf.reduce_logsumexp(logits, axis=-1))

    def merged(parts):
        return merge_segments(*parts, num_classes, thing_classes, ignore_label, options)

    slots = options.max_instances + num_classes
    signature = Segments(
        ids=tf.TensorSpec((None, None), tf.int32),
        labels=tf.TensorSpec((None, None), tf.int32),
        categories=tf.TensorSpec((slots,), tf.int32),
        scores=tf.TensorSpec((slots,), tf.float32),
        areas=tf.TensorSpec((slots,), tf.int32),
        count=tf.TensorSpec((), tf.int32),
    )
    heatmap, offsets = outputs["center_heatmap"][..., 0], outputs["center_offsets"]
    found = tf.map_fn(
        merged,
        (classes, confidence, heatmap, offsets),
        fn_output_signature=signature,
        parallel_iterations=1,
    )
    return classes, confidence, found


class SegmentList(NamedTuple):
    """The segments of one image, things first.

    Attributes:
        ids: int32 (height, width), 1 ... segments; 0 is void.
        categories: int32 (segments,), class ids.
        scores: float32 (segments,).
        areas: int32 (segments,), pixels.
    """

    ids: np.ndarray
    categories: np.ndarray
    scores: np.ndarray
    areas: np.ndarray


class PanopticPrediction(NamedTuple):
    """Predictions of a batch; the first three as in `Prediction`.

    Attributes:
        labels, confidence, finite: see there.
        panoptic: (batch, height, width) int32 panoptic label maps; void has the ignore label.
        segments: a list of segments for each image.
    """

    labels: np.ndarray
    confidence: np.ndarray
    finite: np.ndarray
    panoptic: np.ndarray
    segments: list[SegmentList]

    def scores_by_label(self, index: int) -> dict[int, float]:
        """The scores of image `index`'s segments by their value in its panoptic label map."""
        labels, listed = self.panoptic[index], self.segments[index]
        ids, first = np.unique(listed.ids, return_index=True)
        values = labels.ravel()[first]
        return {
            int(value): float(listed.scores[k - 1])
            for k, value in zip(ids, values, strict=True)
            if k > 0
        }


class PanopticPredictor:
    """Predicts classes and segments at any size; whole images, once, at one scale.

    One graph serves all sizes and follows the model's weights. A model that was built under a
    `tf.distribute` strategy works on the first device of each worker.

    Args:
        model: with `logits`, `center_heatmap` and `center_offsets`.
        thing_classes: ids of the classes whose objects are told apart.
        ignore_label: the label of void pixels.
        options: of grouping and merging; `GroupingOptions()` where missing.
        protocol: must be the plain prediction.

    Raises:
        ValueError: a model or a protocol that does not serve.
    """

    def __init__(
        self,
        model: keras.Model,
        thing_classes: Sequence[int],
        ignore_label: int = IGNORE_LABEL,
        options: GroupingOptions | None = None,
        protocol: Protocol | None = None,
    ):
        check_panoptic_model(model, thing_classes)
        if protocol is not None and not protocol.is_plain:
            raise ValueError(
                "`protocol`: centres of things cannot be averaged; expected whole images at scale "
                f"1, without mirror images and windows. Received: {protocol.describe()}"
            )
        self.checks = Predictor(model)
        options = options or GroupingOptions()

        def predict(images, size):
            outputs = full_size_outputs(model(images, training=False), images, size)
            classes, confidence, found = segments(outputs, thing_classes, ignore_label, options)
            finite = [
                tf.reduce_all(tf.math.is_finite(each), axis=(1, 2, 3)) for each in outputs.values()
            ]
            return classes, confidence, tf.reduce_all(tf.stack(finite), axis=0), found

        signature = (image_spec(model), tf.TensorSpec((2,), tf.int32, name="size"))
        self._predict = tf.function(predict, signature, autograph=False)

    def __call__(self, images: np.ndarray, size: Size | None = None) -> PanopticPrediction:
        """Predictions for images of one size.

        Args:
            images: (batch, image_height, image_width, 3), RGB in 0 ... 255.
            size: height and width of the result; the images' own where missing.

        Raises:
            ValueError: images of a shape that the model does not take.
        """
        images, size = self.checks.checked(images, size)
        labels, confidence, finite, found = self._predict(np.asarray(images, np.float32), size)
        maps, counts = found.ids.numpy(), found.count.numpy()
        tables = [found.categories.numpy(), found.scores.numpy(), found.areas.numpy()]
        listed = [
            SegmentList(ids, *(table[k, :count] for table in tables))
            for k, (ids, count) in enumerate(zip(maps, counts, strict=True))
        ]
        return PanopticPrediction(
            labels.numpy(), confidence.numpy(), finite.numpy(), found.labels.numpy(), listed
        )
