"""The field's scores, from one confusion matrix, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    """

    mean_iou: float
    per_class_iou: np.ndarray
    pixel_accuracy: float
    mean_accuracy: float
    per_class_accuracy: np.ndarray
    frequency_weighted_iou: float
    present: np.ndarray


def scores_from_confusion(matrix: np.ndarray) -> SegmentationScores:
    """Scores from counts of pixels by label (row) and prediction (column).

    Args:
        matrix: (classes, classes), non-negative counts.

    Raises:
        ValueError: where the matrix is not square or holds a negative count.

    Reference: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
    section 5.

    Example:

    >>> scores = keras_ctxseg.metrics.scores_from_confusion([[3, 1], [0, 4]])
    >>> scores.mean_iou, scores.pixel_accuracy
    (0.775, 0.875)
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"`matrix` must be (classes, classes). Received: shape {matrix.shape}")
    if (matrix < 0).any():
        raise ValueError("`matrix` must hold counts of at least 0. Received a negative entry.")
    hits = np.diag(matrix)
    labelled = matrix.sum(axis=1)
    union = labelled + matrix.sum(axis=0) - hits
    total = labelled.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        per_class_iou = hits / union
        per_class_accuracy = hits / labelled
        pixel_accuracy = float(hits.sum() / total)
        weighted_iou = float(np.nansum(labelled * per_class_iou) / total)
    return SegmentationScores(
        mean_iou=_mean_of_known(per_class_iou),
        per_class_iou=per_class_iou,
        pixel_accuracy=pixel_accuracy,
        mean_accuracy=_mean_of_known(per_class_accuracy),
        per_class_accuracy=per_class_accuracy,
        frequency_weighted_iou=weighted_iou,
        present=union > 0,
    )


def _mean_of_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
