"""Pixels by class, of one image or of many, and every score that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
        mean_precision: mean of `per_class_precision` over the classes that are predicted.
        per_class_precision: (classes,) float64, right pixels / pixels predicted as the class; NaN
            for classes that are never predicted.
        mean_f1: mean of `per_class_f1` over the classes that are `present`.
        per_class_f1: (classes,) float64, the F1 score (Dice coefficient), the harmonic mean of
            precision and recall, 2 right / (labelled + predicted); NaN for absent classes.
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
    mean_precision: float
    per_class_precision: np.ndarray
    mean_f1: float
    per_class_f1: np.ndarray
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
        per_class_precision=class_precision(counts),
        per_class_f1=class_f1(counts),
        present=~np.isnan(per_class_iou),
        mean_iou_policies=policies,
        **scores,
    )


class ClassCounts(NamedTuple):
    """Counts of pixels by class; any number of leading axes, such as images or resamples.

    Attributes:
        hits: (..., classes), pixels of a class that were predicted to be it.
        labelled: (..., classes), pixels whose label is the class.
        predicted: (..., classes), valid pixels that were predicted to be the class.
        on_background: (..., classes), pixels of the background class by prediction; None where
            no class is the background.
        background: id of the background class, or None.
    """

    hits: np.ndarray
    labelled: np.ndarray
    predicted: np.ndarray
    on_background: np.ndarray | None = None
    background: int | None = None

    @classmethod
    def of(cls, confusion: np.ndarray, background: int | None = None) -> ClassCounts:
        """From confusion matrices (..., classes, classes), labels in rows."""
        # Copies, as views would keep the matrices in memory.
        return cls(
            np.diagonal(confusion, axis1=-2, axis2=-1).copy(),
            confusion.sum(axis=-1),
            confusion.sum(axis=-2),
            None if background is None else confusion[..., background, :].copy(),
            background,
        )

    def weighted(self, multiplicities: np.ndarray) -> ClassCounts:
        """Sums over images: the first axis by each row of `multiplicities` (resamples, images).

        In float64, which is exact up to 2**53 pixels.
        """
        weights = multiplicities.astype(np.float64)

        def sums(counts):
            return np.tensordot(weights, counts.astype(np.float64), axes=1)

        own = None if self.on_background is None else sums(self.on_background)
        hits, labelled, predicted = map(sums, (self.hits, self.labelled, self.predicted))
        return ClassCounts(hits, labelled, predicted, own, self.background)


def class_iou(counts: ClassCounts) -> np.ndarray:
    """(..., classes) float64: hits / (labelled + predicted - hits); NaN for absent classes."""
    return _share(counts.hits, counts.labelled + counts.predicted - counts.hits)


def class_accuracy(counts: ClassCounts) -> np.ndarray:
    """(..., classes) float64: hits / labelled; NaN for classes that no label shows."""
    return _share(counts.hits, counts.labelled)


def class_precision(counts: ClassCounts) -> np.ndarray:
    """(..., classes) float64: hits / predicted; NaN for classes that are never predicted."""
    return _share(counts.hits, counts.predicted)


def class_f1(counts: ClassCounts) -> np.ndarray:
    """(..., classes) float64: 2 hits / (labelled + predicted); NaN for absent classes."""
    return _share(2 * counts.hits, counts.labelled + counts.predicted)


def mean_iou_policies(counts: ClassCounts) -> dict[str, np.ndarray]:
    """The mean IoU by the conventions in use, each of shape (...).

    - `left_out`: over the classes that the labels or the predictions show.
    - `zero`: over all classes; absent ones count 0.
    - `without_background` and `with_background`: PASCAL-Context's 59 and 60 classes, as `left_out`.
      A network that does not know the background (59 classes, background ignored) has IoU 0 for it
      among 60: `with_background` is then the sum over one class more. Where the background is a
      class, `without_background` ignores the pixels with that label, as a set of 59 classes does,
      and leaves the class out; a pixel of another class predicted as background stays wrong.
    """
    iou = class_iou(counts)
    left_out = mean_of_known(iou)
    total = np.nansum(iou, axis=-1)
    known = ~np.isnan(iou)
    if counts.on_background is None or counts.background is None:
        without = left_out
        with_background = _share(total, known.sum(axis=-1) + np.where(known.any(axis=-1), 1, 0))
    else:
        union = counts.labelled + counts.predicted - counts.hits - counts.on_background
        rest = np.delete(_share(counts.hits, union), counts.background, axis=-1)
        without, with_background = mean_of_known(rest), left_out
    return {
        "left_out": left_out,
        "zero": np.where(known.any(axis=-1), total / iou.shape[-1], np.nan),
        "with_background": with_background,
        "without_background": without,
    }


def summary_scores(counts: ClassCounts) -> dict[str, np.ndarray]:
    """Each score by its name, of shape (...): accuracies, IoUs, the policies, ADE20K's score.

    ADE20K's final score is the mean of pixel accuracy and mean IoU; its own evaluation counts
    absent classes 0, hence the policy `zero`.
    """
    iou = class_iou(counts)
    policies = mean_iou_policies(counts)
    total = counts.labelled.sum(axis=-1)
    pixel_accuracy = _share(counts.hits.sum(axis=-1), total)
    weighted = np.nansum(counts.labelled * iou, axis=-1)
    return {
        "mean_iou": policies["left_out"],
        "pixel_accuracy": pixel_accuracy,
        "mean_accuracy": mean_of_known(class_accuracy(counts)),
        "mean_precision": mean_of_known(class_precision(counts)),
        "mean_f1": mean_of_known(class_f1(counts)),
        "frequency_weighted_iou": _share(weighted, total),
        "ade20k_score": (policies["zero"] + pixel_accuracy) / 2,
        **{f"mean_iou_policies.{name}": value for name, value in policies.items()},
    }


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return _share(np.nansum(values, axis=-1), known.sum(axis=-1))


def _share(part, whole) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(whole) > 0, np.divide(part, whole), np.nan)
