"""Mean intersection over union as one number, for `fit` and `evaluate`."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.maps import alarm_factor
from keras_ctxseg.metrics.confusion import ConfusionMatrix


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
        ignore_label: int = 255,
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
