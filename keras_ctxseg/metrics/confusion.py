"""Streaming metrics from a confusion matrix: the matrix, mean IoU, pixel accuracy."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.maps import (
    alarm_factor,
    count_ids,
    pixel_weights,
    split_labels,
    widest_integer,
)
from keras_ctxseg.labels.panoptic import IGNORE_LABEL


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class ConfusionMatrix(keras.metrics.Metric):
    """Pixels by label (row) and prediction (column), over all batches since the last reset.

    Counts are int64, since float32 stops counting at 2**24. JAX has int64 only with
    `jax_enable_x64`; there they are int32 unless `dtype` says otherwise, room for 2**31 pixels
    between resets. Pixels whose label or prediction is neither a class nor the ignore label are
    counted in `invalid`.

    The result is a matrix; for the progress bar of `fit` take `MeanIoU`, a subclass.

    Args:
        num_classes: number of classes.
        ignore_label: pixels with this label are not counted.
        name: the name of the metric.
        dtype: dtype of the counts; integers only. Default as above.

    Call arguments:
        y_true: integer labels, (batch, height, width).
        y_pred: logits, (batch, height, width, classes), or predicted ids of the shape of `y_true`.
        sample_weight: optional, (batch,) or (batch, height, width). Pixels of weight 0 are left
            out, all others count once: a matrix counts pixels.

    Call returns:
        (num_classes, num_classes) int64.

    Raises:
        ValueError: where shapes disagree or the logits have another number of classes.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = IGNORE_LABEL,
        name: str = "confusion",
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype or widest_integer())
        if int(num_classes) < 1:
            raise ValueError(f"`num_classes` must be at least 1. Received: {num_classes}")
        if "int" not in self.dtype:
            raise ValueError(f"{type(self).__name__} counts in integers. Received: dtype={dtype}")
        self.num_classes = int(num_classes)
        self.ignore_label = int(ignore_label)
        self.matrix = self.add_variable(
            shape=(self.num_classes, self.num_classes),
            initializer="zeros",
            dtype=self.dtype,
            name="matrix",
        )
        self.invalid = self.add_variable(
            shape=(), initializer="zeros", dtype=self.dtype, name="invalid"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
        predictions = self._predicted_ids(labels, ops.convert_to_tensor(y_pred))
        classes = self.num_classes
        valid, wrong = split_labels(labels, classes, self.ignore_label)
        known = ops.logical_and(predictions >= 0, predictions < classes)
        wrong = ops.logical_or(wrong, ops.logical_and(valid, ops.logical_not(known)))
        counted = ops.logical_and(valid, known)
        if sample_weight is not None:
            taken = ops.not_equal(pixel_weights(sample_weight, labels, "float32"), 0.0)
            wrong, counted = (
                ops.logical_and(wrong, taken),
                ops.logical_and(counted, taken),
            )

        # Two bins more than cells: one for pixels that are wrong, one for those left out.
        cells = classes * classes
        bins = ops.where(counted, labels * classes + predictions, cells + 1)
        bins = ops.where(wrong, cells, bins)
        counts = ops.cast(count_ids(bins, cells + 2), self.dtype)
        self.matrix.assign_add(ops.reshape(counts[:cells], (classes, classes)))
        self.invalid.assign_add(counts[cells])

    def _predicted_ids(self, labels, y_pred):
        label_shape, shape = tuple(labels.shape), tuple(y_pred.shape)
        if len(shape) == len(label_shape) + 1:
            if shape[-1] != self.num_classes:
                raise ValueError(
                    f"{type(self).__name__} has num_classes={self.num_classes}, but the logits "
                    f"have {shape[-1]} classes. Received: y_pred of shape {shape}."
                )
            y_pred = ops.argmax(y_pred, axis=-1)
            shape = shape[:-1]
        known_sizes_agree = len(shape) == len(label_shape) and all(
            a is None or b is None or a == b for a, b in zip(shape, label_shape, strict=True)
        )
        if not known_sizes_agree:
            raise ValueError(
                f"{type(self).__name__} expects one prediction for each label. Received: y_true "
                f"of shape {label_shape}, y_pred of shape {tuple(y_pred.shape)}."
            )
        return ops.cast(y_pred, "int32")

    def result(self):
        return ops.convert_to_tensor(self.matrix)

    def get_config(self):
        return {
            "num_classes": self.num_classes,
            "ignore_label": self.ignore_label,
            "name": self.name,
            "dtype": self.dtype,
        }


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class MeanIoU(ConfusionMatrix):
    """The mean IoU over the classes that occur in the labels or in the predictions.

    Classes that neither the labels nor the predictions show are left out of the mean, as in
    `keras.metrics.MeanIoU`. Before any valid pixel was seen the result is 0. Unlike there, an id
    that is neither a class nor the ignore label is not dropped in silence: the result is NaN.

    Args, call arguments, errors: as in `ConfusionMatrix`.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = IGNORE_LABEL,
        name: str = "mean_iou",
        dtype: str | None = None,
    ):
        super().__init__(num_classes, ignore_label=ignore_label, name=name, dtype=dtype)
        self._direction = "up"

    def result(self):
        matrix = ops.convert_to_tensor(self.matrix)
        hits = ops.diagonal(matrix)
        union = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - hits
        ious = ops.divide_no_nan(ops.cast(hits, "float32"), ops.cast(union, "float32"))
        present = ops.sum(ops.cast(union > 0, "float32"))
        return ops.divide_no_nan(ops.sum(ious), present) * alarm_factor(self.invalid > 0, "float32")


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class PixelAccuracy(ConfusionMatrix):
    """The share of the valid pixels whose predicted class is their label.

    0 before any valid pixel was seen, NaN after an id that is neither a class nor the ignore label.

    Args, call arguments, errors: as in `ConfusionMatrix`.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = IGNORE_LABEL,
        name: str = "pixel_accuracy",
        dtype: str | None = None,
    ):
        super().__init__(num_classes, ignore_label=ignore_label, name=name, dtype=dtype)
        self._direction = "up"

    def result(self):
        matrix = ops.convert_to_tensor(self.matrix)
        right = ops.cast(ops.sum(ops.diagonal(matrix)), "float32")
        share = ops.divide_no_nan(right, ops.cast(ops.sum(matrix), "float32"))
        return share * alarm_factor(self.invalid > 0, "float32")
