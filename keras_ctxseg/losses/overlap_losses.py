"""Losses on the overlap of regions: Tversky, Dice and Jaccard."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses.batch_mean import of_global_sums
from keras_ctxseg.losses.pixels import class_maps, mean_over_present, read_pixels


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class TverskyLoss(keras.losses.Loss):
    """One minus the Tversky index of the softmax, averaged over the classes that the labels show.

    With the sums TP of the probability of a class on its pixels, FP on the others and FN of what
    lacks on its pixels, the index of a class is `TP / (TP + alpha FP + beta FN)`. The sums run over
    all valid pixels of the batch, so a class that an image lacks costs nothing there.

    Args:
        alpha: weight of false positives, at least 0.
        beta: weight of false negatives, at least 0; not both 0.
        smooth: added to numerator and denominator, at least 0: a larger one weakens the loss of
            classes of few pixels.
        ignore_label: pixels with this id add neither loss nor gradient.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Call arguments:
        y_true: integer labels, (batch, height, width).
        y_pred: logits, (batch, height, width, classes).
        sample_weight: optional, (batch,) or (batch, height, width); weight 0 leaves out.

    Call returns:
        Float scalar, 0 with zero gradients where no pixel is valid; NaN where a label is neither a
        class nor the ignore label.

    Raises:
        ValueError: where the shapes of labels and logits disagree or an option is out of range.

    Reference: Salehi et al., "Tversky loss function for image segmentation using 3D fully
    convolutional deep networks", MLMI 2017; the mean over classes and the sums over the
    batch are ours.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        smooth: float = 0.0,
        ignore_label: int = IGNORE_LABEL,
        name: str = "tversky",
        dtype: str | None = None,
    ):
        super().__init__(name=name, reduction=None, dtype=dtype or "float32")
        if not (alpha >= 0 and beta >= 0 and alpha + beta > 0):
            raise ValueError(
                "`alpha` and `beta` must be at least 0 and not both 0. "
                f"Received: alpha={alpha}, beta={beta}"
            )
        if not smooth >= 0:
            raise ValueError(f"`smooth` must be at least 0. Received: smooth={smooth}")
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.smooth = float(smooth)
        self.ignore_label = int(ignore_label)

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            pixels = read_pixels(self, y_true, y_pred, sample_weight)
            truth, probabilities = class_maps(pixels)
            weights = pixels.weights[..., None]
            sums = [
                ops.sum(weights * truth * probabilities, (0, 1, 2)),
                ops.sum(weights * probabilities, (0, 1, 2)),
                ops.sum(weights * truth, (0, 1, 2)),
            ]
            return of_global_sums(self._loss, sums) * pixels.alarm

    def call(self, y_true, y_pred):
        return self(y_true, y_pred)

    def _loss(self, both, predicted, labelled):
        missed = self.alpha * (predicted - both) + self.beta * (labelled - both)
        index = ops.divide_no_nan(both + self.smooth, both + missed + self.smooth)
        return mean_over_present(1.0 - index, labelled > 0)

    def get_config(self):
        return {
            "alpha": self.alpha,
            "beta": self.beta,
            "smooth": self.smooth,
            "ignore_label": self.ignore_label,
            "name": self.name,
            "dtype": self.dtype,
        }


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class DiceLoss(TverskyLoss):
    """One minus the Dice coefficient (F1 score) of the softmax, `2 TP / (2 TP + FP + FN)`.

    `TverskyLoss` with alpha and beta of 1/2; arguments and call as there.

    Reference: Milletari et al., "V-Net: Fully Convolutional Neural Networks for Volumetric Medical
    Image Segmentation", 3DV 2016, section 3, with sums in place of squares in the denominator.
    """

    def __init__(
        self,
        smooth: float = 0.0,
        ignore_label: int = IGNORE_LABEL,
        name: str = "dice",
        dtype: str | None = None,
    ):
        super().__init__(0.5, 0.5, smooth, ignore_label, name, dtype)

    def get_config(self):
        return _without_rates(super().get_config())


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class JaccardLoss(TverskyLoss):
    """One minus the intersection over union of the softmax, `TP / (TP + FP + FN)`.

    `TverskyLoss` with alpha and beta of 1; arguments and call as there.

    Reference: Rahman and Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for
    Image Segmentation", ISVC 2016.
    """

    def __init__(
        self,
        smooth: float = 0.0,
        ignore_label: int = IGNORE_LABEL,
        name: str = "jaccard",
        dtype: str | None = None,
    ):
        super().__init__(1.0, 1.0, smooth, ignore_label, name, dtype)

    def get_config(self):
        return _without_rates(super().get_config())


def _without_rates(config: dict) -> dict:
    return {key: value for key, value in config.items() if key not in ("alpha", "beta")}
