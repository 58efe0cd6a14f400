"""A label map and its logits, pixel by pixel, as the losses take them."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from keras_ctxseg.labels.maps import alarm_factor, check_label_map, pixel_weights, split_labels


class Pixels(NamedTuple):
    """What the losses on label maps start from.

    Attributes:
        targets: int32 (batch, height, width), class ids; 0 where a pixel does not count.
        logits: (batch, height, width, classes) in the loss's dtype.
        valid: bool (batch, height, width), whether the pixel has a class.
        weights: (batch, height, width), the sample weights; 0 where a pixel does not count.
        alarm: scalar, 1, or NaN where a label is neither a class nor the ignore label.
    """

    targets: Any
    logits: Any
    valid: Any
    weights: Any
    alarm: Any


def read_pixels(loss, y_true, y_pred, sample_weight=None) -> Pixels:
    """Checks the call arguments of a loss that has an `ignore_label`.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
    logits = ops.cast(ops.convert_to_tensor(y_pred), loss.dtype)
    check_label_map(labels, logits, type(loss).__name__)
    valid, wrong = split_labels(labels, logits.shape[-1], loss.ignore_label)
    weights = ops.cast(valid, loss.dtype)
    if sample_weight is not None:
        weights = weights * pixel_weights(sample_weight, labels, loss.dtype)
    targets = ops.where(valid, labels, 0)
    return Pixels(targets, logits, valid, weights, alarm_factor(wrong, loss.dtype))


def class_maps(pixels: Pixels):
    """Truth and probabilities, both (batch, height, width, classes) and 0 where not valid."""
    num_classes = pixels.logits.shape[-1]
    valid = pixels.valid[..., None]
    truth = ops.one_hot(pixels.targets, num_classes, dtype=pixels.logits.dtype)
    # `where`, not a product: the logits of an ignored pixel may be infinite.
    logits = ops.where(valid, pixels.logits, 0.0)
    return ops.where(valid, truth, 0.0), ops.where(valid, ops.softmax(logits), 0.0)


def mean_over_present(losses, present):
    """The mean of one loss a class over the classes that the labels show; 0 if there is none."""
    present = ops.cast(present, losses.dtype)
    return ops.divide_no_nan(ops.sum(losses * present), ops.sum(present))
