"""The field's scores, from one confusion matrix, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_ctxseg.metrics.class_counts import (
    ClassCounts,
    class_accuracy,
    class_iou,
    summary_scores,
)


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of a confusion matrix; all shares are in 0 ... 1, NaN where nothing was counted.

    Attributes:
        mean_iou: mean of `per_class_iou` over the classes that are `present`.
        per_class_iou: (classes,) float64, NaN for absent classes.
        pixel_accuracy: right pixels / all pixels.
        mean_accuracy: mean of `per_class_accuracy` over the classes that the labels show.
        per_class_accuracy: (classes,) float64, right pixels / pixels with that label (recall); NaN
            for classes that no label shows.
        frequency_weighted_iou: IoUs averaged by the share of each class among the labels.
        present: (classes,) bool, whether the labels or the predictions show the class. The other
            classes are absent and left out of the means; a class that is predicted but never a
            label is present, with IoU 0.
        mean_iou_policies: the mean IoU by other conventions, see `mean_iou_policies`.
        ade20k_score: mean of the pixel accuracy and the mean IoU with absent classes as 0.
    """

    mean_iou: float
    per_class_iou: np.ndarray
    pixel_accuracy: float
    mean_accuracy: float
    per_class_accuracy: np.ndarray
    frequency_weighted_iou: float
    present: np.ndarray
    mean_iou_policies: Mapping[str, float]
    ade20k_score: float


def scores_from_confusion(matrix: np.ndarray, background: int | None = None) -> SegmentationScores:
    """Scores from counts of pixels by label (row) and prediction (column).

    Args:
        matrix: (classes, classes), non-negative counts.
        background: id of a background class, for `mean_iou_policies`; None where there is none.

    Raises:
        ValueError: where the matrix is not square or holds a negative count.

    Reference: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
    section 5.

    Examples:
        >>> scores = keras_ctxseg.metrics.scores_from_confusion([[3, 1], [0, 4]])
        >>> scores.mean_iou, scores.pixel_accuracy
        (0.775, 0.875)
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"`matrix` must be (classes, classes). Received: shape {matrix.shape}")
    if (matrix < 0).any():
        raise ValueError("`matrix` must hold counts of at least 0. Received a negative entry.")
    counts = ClassCounts.of(matrix, background)
    scores = {name: float(value) for name, value in summary_scores(counts).items()}
    per_class_iou = class_iou(counts)
    policies = {name.partition(".")[2]: scores.pop(name) for name in tuple(scores) if "." in name}
    return SegmentationScores(
        per_class_iou=per_class_iou,
        per_class_accuracy=class_accuracy(counts),
        present=~np.isnan(per_class_iou),
        mean_iou_policies=policies,
        **scores,
    )
