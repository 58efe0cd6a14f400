"""From images to logits at the size of a label map: one definition for all of evaluation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.layers.resize import resize_bilinear
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE, SegmentationModel

LOGITS = "logits"


def full_size_logits(model: keras.Model, images: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The model's logits, resized by half-pixel bilinear interpolation.

    Args:
        model: maps images to logits, or to a dict that holds them under "logits".
        images: (batch, image_height, image_width, 3) float32, RGB in 0 ... 255.
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


def check_image(image: np.ndarray, name: str) -> None:
    """Raises a ValueError that names the image where it is not RGB."""
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"image {name!r}: expected RGB of shape (height, width, 3). Received: {image.shape}"
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
