"""Softmax cross-entropy for each pixel, averaged over the valid pixels of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses.batch_mean import batch_mean
from keras_ctxseg.losses.hard_pixels import hardest_fraction
from keras_ctxseg.losses.pixels import read_pixels


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class SegmentationCrossentropy(keras.losses.Loss):
    """Cross-entropy between a label map and float logits.

    The loss of a batch is `sum(w * l) / sum(w)` over all its valid pixels together, not image by
    image; `w` is the class weight times the sample weight (as in `torch.nn.CrossEntropyLoss`,
    except that under label smoothing a pixel keeps the one weight of its label). Computed in
    float32 under every dtype policy.

    Labels that are neither a class nor the ignore label are never clipped or skipped: they make
    the loss of the batch NaN on every backend, because a graph cannot raise portably. The data
    sets of `keras_ctxseg.data` check their ids and name the file.

    Args:
        ignore_label: pixels with this id add neither loss nor gradient.
        class_weights: one non-negative weight per class, or None for equal weights.
        label_smoothing: in [0, 1): this much of the target is spread evenly over all classes.
        top_k_fraction: in [0.0001, 1]: only the hardest `ceil(top_k_fraction * valid)` pixels of
            the batch count, ranked by their weighted loss. Held to four decimal places.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Call arguments:
        y_true: integer labels, (batch, height, width).
        y_pred: logits, (batch, height, width, classes).
        sample_weight: optional, (batch,) or (batch, height, width); weight 0 leaves out.

    Call returns:
        Float scalar, 0 with zero gradients where no pixel is valid.

    Raises:
        ValueError: where the shapes of labels and logits disagree or an option is out of range.

    Examples:
        >>> loss = keras_ctxseg.losses.SegmentationCrossentropy(ignore_label=255)
        >>> float(loss([[[0, 255]]], [[[[0.0, 0.0], [9.0, -9.0]]]]))
        0.6931471824645996
    """

    def __init__(
        self,
        ignore_label: int = IGNORE_LABEL,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        top_k_fraction: float = 1.0,
        name: str = "segmentation_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(name=name, reduction=None, dtype=dtype or "float32")
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(
                f"`label_smoothing` must be in [0, 1). Received: label_smoothing={label_smoothing}"
            )
        if not 1e-4 <= top_k_fraction <= 1.0:
            raise ValueError(
                "`top_k_fraction` must be in [0.0001, 1]. "
                f"Received: top_k_fraction={top_k_fraction}"
            )
        if class_weights is not None:
            class_weights = [float(weight) for weight in class_weights]
            if not all(np.isfinite(weight) and weight >= 0.0 for weight in class_weights):
                raise ValueError(
                    "`class_weights` must be finite and at least 0. "
                    f"Received: class_weights={class_weights}"
                )
        self.ignore_label = int(ignore_label)
        self.class_weights = class_weights
        self.label_smoothing = float(label_smoothing)
        self.top_k_fraction = float(top_k_fraction)

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            return batch_mean(*self.sum_and_count(y_true, y_pred, sample_weight))

    def call(self, y_true, y_pred):
        return batch_mean(*self.sum_and_count(y_true, y_pred))

    def sum_and_count(self, y_true, y_pred, sample_weight=None):
        """The weighted sum of the pixel losses and the sum of the weights, two float scalars."""
        pixels = read_pixels(self, y_true, y_pred, sample_weight)
        # `where`, not a product: 0 * inf of an ignored pixel would be NaN.
        losses = self._pixel_losses(pixels.targets, pixels.logits)
        losses = ops.where(pixels.valid, losses, 0.0)
        weights = pixels.weights
        if self.class_weights is not None:
            table = self._weight_table(pixels.logits.shape[-1])
            weights = weights * ops.take(table, pixels.targets, axis=0)
        if self.top_k_fraction < 1.0:
            flat = ops.reshape(losses * weights, (-1,))
            counted = ops.reshape(weights > 0.0, (-1,))
            chosen = hardest_fraction(flat, counted, self.top_k_fraction)
            weights = weights * ops.reshape(chosen, ops.shape(weights))

        return ops.sum(losses * weights) * pixels.alarm, ops.sum(weights) * pixels.alarm

    def _pixel_losses(self, targets, logits):
        if self.label_smoothing == 0.0:
            return ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        num_classes = logits.shape[-1]
        soft = ops.one_hot(targets, num_classes, dtype=self.dtype) * (1.0 - self.label_smoothing)
        soft = soft + self.label_smoothing / num_classes
        return ops.categorical_crossentropy(soft, logits, from_logits=True)

    def _weight_table(self, num_classes: int):
        weights = self.class_weights or []
        if len(weights) != num_classes:
            raise ValueError(
                f"`class_weights` must hold one weight for each of the {num_classes} classes of "
                f"the logits. Received: {len(weights)} weights."
            )
        return ops.convert_to_tensor(weights, dtype=self.dtype)

    def get_config(self):
        return {
            "name": self.name,
            "dtype": self.dtype,
            "ignore_label": self.ignore_label,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "top_k_fraction": self.top_k_fraction,
        }
