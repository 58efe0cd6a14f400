"""Several losses of one output as one."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class WeightedSum(keras.losses.Loss):
    """`sum(weight * loss)` over losses that get the same labels and predictions.

    Args:
        losses: Keras losses.
        weights: a factor of at least 0 for each; 1 each by default.
        name: the name of the loss.

    Call arguments:
        y_true, y_pred, sample_weight: as each of the losses takes them.

    Call returns:
        Float scalar.

    Raises:
        ValueError: no losses, another number of weights, or a negative weight.

    Examples:
        >>> loss = WeightedSum([SegmentationCrossentropy(), MyLoss()], weights=[1.0, 0.5])
    """

    def __init__(
        self,
        losses: Sequence[keras.losses.Loss],
        weights: Sequence[float] | None = None,
        name: str = "weighted_sum",
    ):
        super().__init__(name=name, reduction=None, dtype="float32")
        self.losses = list(losses)
        self.weights = [float(weight) for weight in weights or [1.0] * len(self.losses)]
        if not self.losses or len(self.losses) != len(self.weights) or min(self.weights) < 0:
            raise ValueError(
                "`weights` must hold a factor of at least 0 for each of the losses, one or more. "
                f"Received: {len(self.losses)} losses, weights={self.weights}"
            )

    def __call__(self, y_true, y_pred, sample_weight=None):
        values = [
            weight * ops.cast(loss(y_true, y_pred, sample_weight=sample_weight), "float32")
            for loss, weight in zip(self.losses, self.weights, strict=True)
        ]
        return sum(values[1:], start=values[0])

    def call(self, y_true, y_pred):
        return self(y_true, y_pred)

    def get_config(self):
        losses = [keras.saving.serialize_keras_object(loss) for loss in self.losses]
        return {"losses": losses, "weights": self.weights, "name": self.name}

    @classmethod
    def from_config(cls, config):
        losses = [keras.saving.deserialize_keras_object(loss) for loss in config["losses"]]
        return cls(**{**config, "losses": losses})
