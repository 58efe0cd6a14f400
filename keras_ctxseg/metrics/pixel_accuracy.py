"""The share of pixels that are right, as one number."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.maps import alarm_factor
from keras_ctxseg.metrics.confusion import ConfusionMatrix


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class PixelAccuracy(ConfusionMatrix):
    """The share of the valid pixels whose predicted class is their label.

    0 before any valid pixel was seen, NaN after an id that is neither a class nor the ignore label.

    Args, call arguments, errors: as in `ConfusionMatrix`.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = 255,
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
