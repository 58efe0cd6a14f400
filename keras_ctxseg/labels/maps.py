"""What the losses and the metrics share: checks, masks and counts of label maps."""

from __future__ import annotations

import keras
from keras import ops


def check_label_map(labels, logits, owner: str) -> None:
    """Raises ValueError unless `logits` is (batch, height, width, classes) and `labels` fits it."""
    label_shape, logits_shape = tuple(labels.shape), tuple(logits.shape)
    if len(logits_shape) != 4 or len(label_shape) != 3:
        raise ValueError(
            f"{owner} expects `y_true` of shape (batch, height, width) and `y_pred` of shape "
            f"(batch, height, width, classes). Received: y_true of shape {label_shape}, "
            f"y_pred of shape {logits_shape}."
        )
    pairs = zip(label_shape, logits_shape[:3], strict=True)
    if any(a is not None and b is not None and a != b for a, b in pairs):
        raise ValueError(
            f"{owner} expects one label for each pixel of the logits; resize the logits to the "
            f"label map first. Received: y_true of shape {label_shape}, "
            f"y_pred of shape {logits_shape}."
        )


def split_labels(labels, num_classes: int, ignore_label: int):
    """Sorts the pixels of a label map into valid, ignored and wrong ones.

    Args:
        labels: integer tensor of any shape.

    Returns:
        `(valid, wrong)`, two bool tensors of the shape of `labels`: ids in 0 ... num_classes - 1,
        and ids that are neither a class nor `ignore_label`. An `ignore_label` below `num_classes`
        is ignored as well.
    """
    counted = ops.not_equal(labels, ignore_label)
    in_range = ops.logical_and(labels >= 0, labels < num_classes)
    return ops.logical_and(counted, in_range), ops.logical_and(counted, ops.logical_not(in_range))


def alarm_factor(wrong, dtype: str):
    """NaN where any pixel is wrong, else 1: a factor for sums, counts and scores."""
    return ops.where(ops.any(wrong), ops.cast(float("nan"), dtype), ops.cast(1.0, dtype))


def pixel_weights(sample_weight, labels, dtype: str):
    """Broadcasts a weight for each image, (batch,), or each pixel to the shape of `labels`."""
    weights = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    rank = len(weights.shape)
    if rank == 1:
        weights = ops.reshape(weights, (-1, 1, 1))
    elif rank not in (0, len(labels.shape)):
        raise ValueError(
            "`sample_weight` must be a scalar, one weight for each image (batch,), or one for each "
            f"pixel {tuple(labels.shape)}. Received: sample_weight of shape {tuple(weights.shape)}."
        )
    return ops.broadcast_to(weights, ops.shape(labels))


def count_ids(ids, length):
    """How often each of 0 ... length - 1 occurs.

    Args:
        ids: int32 tensor of any shape, all in range.
        length: an int, or an int scalar where the backend has run-time shapes.

    Returns:
        (length,) int32.
    """
    flat = ops.reshape(ids, (-1,))
    if keras.backend.backend() == "jax":  # its bincount cannot be traced
        return ops.segment_sum(ops.ones_like(flat), flat, num_segments=length)
    # 15 times faster than `segment_sum` on a CPU with TensorFlow.
    return ops.cast(ops.reshape(ops.bincount(flat, minlength=length), (length,)), "int32")


def widest_integer() -> str:
    """The widest integer dtype that counts can have; JAX has int64 only where it is asked for."""
    return "int32" if keras.backend.backend() == "jax" else "int64"
