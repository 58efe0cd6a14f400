"""Which classes occur in an image: the loss of EncNet's second branch."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.maps import alarm_factor, count_ids, split_labels
from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses.batch_mean import batch_mean


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class ClassPresenceLoss(keras.losses.Loss):
    """Binary cross-entropy against the set of classes that a label map shows (the SE-loss).

    The mean runs over all classes of all images that have a valid pixel; an image of nothing but
    the ignore label says nothing about presence and is left out. A label that is neither a class
    nor the ignore label makes the loss NaN, as in `SegmentationCrossentropy`.

    Args:
        ignore_label: pixels with this id are not looked at.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Call arguments:
        y_true: integer labels, (batch, height, width).
        y_pred: one logit per class, (batch, classes).
        sample_weight: optional, (batch,): weights of a weighted mean.

    Raises:
        ValueError: where a shape is not of that rank, or the weights are not one per image.

    Reference: Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, section 3.1.
    """

    def __init__(
        self,
        ignore_label: int = IGNORE_LABEL,
        name: str = "class_presence",
        dtype: str | None = None,
    ):
        super().__init__(name=name, reduction=None, dtype=dtype or "float32")
        self.ignore_label = int(ignore_label)

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            return batch_mean(*self.sum_and_count(y_true, y_pred, sample_weight))

    def call(self, y_true, y_pred):
        return batch_mean(*self.sum_and_count(y_true, y_pred))

    def sum_and_count(self, y_true, y_pred, sample_weight=None):
        """The weighted sum of the class losses and the sum of the weights, two float scalars."""
        labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
        logits = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        if len(labels.shape) != 3 or len(logits.shape) != 2:
            raise ValueError(
                "ClassPresenceLoss expects `y_true` of shape (batch, height, width) and `y_pred` "
                f"of shape (batch, classes). Received: y_true of shape {tuple(labels.shape)}, "
                f"y_pred of shape {tuple(logits.shape)}."
            )
        num_classes = logits.shape[-1]
        valid, wrong = split_labels(labels, num_classes, self.ignore_label)
        present = ops.cast(self._occurs(labels, valid, num_classes), self.dtype)
        # max(x, 0) - x t + log(1 + exp(-|x|)): finite, value and gradient, for every finite x.
        losses = ops.relu(logits) - logits * present + ops.softplus(-ops.abs(logits))
        weights = ops.max(present, axis=-1)
        if sample_weight is not None:
            per_image = ops.cast(ops.convert_to_tensor(sample_weight), self.dtype)
            if len(per_image.shape) > 1:
                raise ValueError(
                    "ClassPresenceLoss takes one weight for each image, shape (batch,). "
                    f"Received: sample_weight of shape {tuple(per_image.shape)}."
                )
            weights = weights * per_image
        alarm = alarm_factor(wrong, self.dtype)
        return ops.sum(ops.mean(losses, axis=-1) * weights) * alarm, ops.sum(weights) * alarm

    def _occurs(self, labels, valid, num_classes: int):
        # Counted, because (batch, height, width, classes) of zeros and ones does not fit for
        # many classes. The last bin of each image takes the pixels that are not valid.
        batch, bins = ops.shape(labels)[0], num_classes + 1
        first_bin = ops.reshape(ops.arange(batch, dtype="int32") * bins, (-1, 1, 1))
        counts = count_ids(first_bin + ops.where(valid, labels, num_classes), batch * bins)
        return ops.reshape(counts, (batch, bins))[:, :num_classes] > 0

    def get_config(self):
        return {
            "name": self.name,
            "dtype": self.dtype,
            "ignore_label": self.ignore_label,
        }
