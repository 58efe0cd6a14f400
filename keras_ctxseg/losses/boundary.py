"""A loss on where regions end."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses.batch_mean import of_global_sums
from keras_ctxseg.losses.pixels import class_maps, mean_over_present, read_pixels


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class BoundaryLoss(keras.losses.Loss):
    """One minus the F1 score of the boundaries of each class, made differentiable by max pooling.

    The boundary of a map is what a maximum over `width` pixels adds to the outside of its regions.
    Precision is the share of the predicted boundary within `tolerance` of a labelled one, recall
    the share of the labelled boundary within `tolerance` of a predicted one. Neither the image's
    border nor that of ignored pixels is a boundary. Meant to be added to another loss: far from any
    boundary it has no gradient.

    Args:
        width: of the boundary, an odd number of pixels of at least 3.
        tolerance: side of the square around a pixel in which boundaries match, an odd number.
        ignore_label: pixels with this id add neither loss nor gradient.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Call arguments:
        y_true: integer labels, (batch, height, width).
        y_pred: logits, (batch, height, width, classes).
        sample_weight: optional, (batch,) or (batch, height, width); weight 0 leaves out.

    Call returns:
        Float scalar, the mean over the classes that have a boundary in the labels; 0 with zero
        gradients where there is none; NaN where a label is neither a class nor the ignore label.

    Raises:
        ValueError: where the shapes of labels and logits disagree or an option is out of range.

    Reference: Bokhovkin and Burnaev, "Boundary Loss for Remote Sensing Imagery Semantic
    Segmentation", ISNN 2019. Sums over the batch, not image by image, and the
    treatment of ignored pixels are ours.
    """

    def __init__(
        self,
        width: int = 3,
        tolerance: int = 5,
        ignore_label: int = IGNORE_LABEL,
        name: str = "boundary",
        dtype: str | None = None,
    ):
        super().__init__(name=name, reduction=None, dtype=dtype or "float32")
        for key, value, least in (("width", width, 3), ("tolerance", tolerance, 1)):
            if not (isinstance(value, int) and value >= least and value % 2):
                raise ValueError(
                    f"`{key}` must be an odd number of at least {least}. Received: {key}={value}"
                )
        self.width = width
        self.tolerance = tolerance
        self.ignore_label = int(ignore_label)

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            pixels = read_pixels(self, y_true, y_pred, sample_weight)
            maps = class_maps(pixels)
            valid = ops.cast(pixels.valid, self.dtype)[..., None]
            labelled, predicted = (self._boundary(one, valid) for one in maps)
            weights = pixels.weights[..., None]
            sums = [
                ops.sum(weights * part, (0, 1, 2))
                for part in (
                    predicted * _widest(labelled, self.tolerance),
                    predicted,
                    labelled * _widest(predicted, self.tolerance),
                    labelled,
                )
            ]
            return of_global_sums(_loss, sums) * pixels.alarm

    def call(self, y_true, y_pred):
        return self(y_true, y_pred)

    def _boundary(self, maps, valid):
        outside = (1.0 - maps) * valid
        return (_widest(outside, self.width) - outside) * valid

    def get_config(self):
        return {
            "width": self.width,
            "tolerance": self.tolerance,
            "ignore_label": self.ignore_label,
            "name": self.name,
            "dtype": self.dtype,
        }


def _widest(maps, size: int):
    return ops.max_pool(maps, size, strides=1, padding="same", data_format="channels_last")


def _loss(right, predicted, found, labelled):
    precision, recall = ops.divide_no_nan(right, predicted), ops.divide_no_nan(found, labelled)
    f1 = ops.divide_no_nan(2.0 * precision * recall, precision + recall)
    return mean_over_present(1.0 - f1, labelled > 0)
