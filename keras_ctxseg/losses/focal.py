"""Cross-entropy that counts sure pixels less."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses.batch_mean import batch_mean
from keras_ctxseg.losses.pixels import read_pixels


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class FocalLoss(keras.losses.Loss):
    """Focal loss of the softmax, `-(1 - p)^gamma log p`, averaged over the valid pixels of a batch.

    `p` is the probability of the pixel's own class. Call arguments, ignored and wrong labels as in
    `SegmentationCrossentropy`, which is this loss with `gamma=0`.

    Args:
        gamma: 0, or at least 1 (between them the gradient of a sure pixel is infinite).
        ignore_label: pixels with this id add neither loss nor gradient.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Raises:
        ValueError: where the shapes of labels and logits disagree or `gamma` is out of range.

    Reference: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 4.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        ignore_label: int = IGNORE_LABEL,
        name: str = "focal",
        dtype: str | None = None,
    ):
        super().__init__(name=name, reduction=None, dtype=dtype or "float32")
        if not (gamma == 0 or 1 <= gamma < float("inf")):
            raise ValueError(f"`gamma` must be 0 or at least 1. Received: gamma={gamma}")
        self.gamma = float(gamma)
        self.ignore_label = int(ignore_label)

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            pixels = read_pixels(self, y_true, y_pred, sample_weight)
            logits = ops.where(pixels.valid[..., None], pixels.logits, 0.0)
            losses = ops.sparse_categorical_crossentropy(pixels.targets, logits, from_logits=True)
            if self.gamma:
                losses = losses * ops.power(-ops.expm1(-losses), self.gamma)
            total, count = ops.sum(losses * pixels.weights), ops.sum(pixels.weights)
            return batch_mean(total * pixels.alarm, count * pixels.alarm)

    def call(self, y_true, y_pred):
        return self(y_true, y_pred)

    def get_config(self):
        return {
            "gamma": self.gamma,
            "ignore_label": self.ignore_label,
            "name": self.name,
            "dtype": self.dtype,
        }
