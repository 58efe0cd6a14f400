"""Whether a network is right as often as it says: reliability bins and calibration errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BINS = 15


class CalibrationCounts(NamedTuple):
    """Pixels by the confidence of their prediction; any number of leading axes.

    Attributes:
        pixels: (..., bins), how many.
        confidence: (..., bins), their confidences summed up.
        right: (..., bins), how many of them are right.
    """

    pixels: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    def weighted(self, multiplicities: np.ndarray) -> CalibrationCounts:
        """Sums over images: the first axis by each row of `multiplicities` (resamples, images)."""
        weights = multiplicities.astype(np.float64)
        return CalibrationCounts(*(weights @ counts.astype(np.float64) for counts in self))


def bin_edges(bins: int = BINS) -> np.ndarray:
    """(bins + 1,): bins of equal width; each holds its lower edge, the last its upper one too."""
    return np.linspace(0.0, 1.0, bins + 1)


def calibration_counts(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> CalibrationCounts:
    """Sorts pixels into the bins.

    Args:
        confidence: (pixels,), the probability of the predicted class, in 0 ... 1.
        right: (pixels,) bool, whether that class is the label.
        bins: how many.

    Raises:
        ValueError: a confidence outside 0 ... 1.
    """
    confidence = np.asarray(confidence)
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1 + 1e-5):
        raise ValueError(
            "`confidence` must lie in 0 ... 1. "
            f"Received: {confidence.min():.4g} ... {confidence.max():.4g}"
        )
    index = np.searchsorted(bin_edges(bins)[1:-1], confidence, side="right")
    return CalibrationCounts(
        np.bincount(index, minlength=bins),
        np.bincount(index, confidence, minlength=bins),
        np.bincount(index[np.asarray(right, bool)], minlength=bins),
    )


def calibration_errors(counts: CalibrationCounts) -> tuple[np.ndarray, np.ndarray]:
    """Expected and maximum calibration error, each of shape (...); NaN without pixels.

    Expected: the gap between mean confidence and accuracy, averaged over the pixels of all bins;
    maximum: the largest gap of a bin that holds pixels.

    Reference: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.
    """
    total = counts.pixels.sum(axis=-1)
    excess = np.abs(counts.confidence - counts.right)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.where(total > 0, excess.sum(axis=-1) / total, np.nan)
        gaps = np.where(counts.pixels > 0, excess / counts.pixels, 0.0)
    return expected, np.where(total > 0, gaps.max(axis=-1), np.nan)
