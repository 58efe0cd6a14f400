"""From images to segments at the size of a label map, as one graph for evaluation and export."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_ctxseg.labels.panoptic import is_panoptic
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
