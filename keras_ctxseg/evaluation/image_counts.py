"""Counts of one image that all scores follow from, those along the contours included."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from keras_ctxseg.metrics.calibration import CalibrationCounts, calibration_counts
from keras_ctxseg.metrics.scores import ClassCounts


class SparseConfusion(NamedTuple):
    """The cells of a confusion matrix that are not 0.

    Attributes:
        cells: (n,) int32, label * classes + prediction, ascending.
        counts: (n,) int64, pixels.
    """

    cells: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray) -> SparseConfusion:
        flat = matrix.reshape(-1)
        cells = np.flatnonzero(flat)
        return cls(cells.astype(np.int32), flat[cells])

    def dense(self, classes: int) -> np.ndarray:
        """(classes, classes) int64, labels in rows."""
        matrix = np.zeros(classes * classes, np.int64)
        matrix[self.cells] = self.counts
        return matrix.reshape(classes, classes)


class ContourCounts(NamedTuple):
    """Pixels along the contours, as `ClassCounts` take them.

    Attributes:
        boundary: (3, classes), contours as wide as `contour_width`: pixels on the contours of
            label and prediction both, and of the same class; on the label's; on the prediction's.
        contours: (distances, 3, classes), the same for contours of each width of `DISTANCES`.
        trimap: (distances, 3, classes), pixels at most that far from a contour of the label map:
            right ones by class, labels, predictions.
    """

    boundary: np.ndarray
    contours: np.ndarray
    trimap: np.ndarray


class ImageCounts(NamedTuple):
    """All counts of one image.

    Attributes:
        confusion: pixels by label and prediction.
        contour: None where contours were not asked for.
        calibration: None where confidences were not asked for.
    """

    confusion: SparseConfusion
    contour: ContourCounts | None = None
    calibration: CalibrationCounts | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `scores.json` holds of them."""
        boundary = calibration = None
        if self.contour is not None:
            counts = self.contour.boundary
            classes = np.flatnonzero(counts[1:].any(axis=0))
            names = ("intersection", "label", "prediction")
            boundary = {"classes": classes.tolist()}
            boundary |= dict(zip(names, counts[:, classes].tolist(), strict=True))
        if self.calibration is not None:
            calibration = {
                "pixels": self.calibration.pixels.tolist(),
                "confidence": [round(value, 6) for value in self.calibration.confidence.tolist()],
                "right": self.calibration.right.tolist(),
            }
        return {
            "confusion": {key: v.tolist() for key, v in self.confusion._asdict().items()},
            "boundary": boundary,
            "calibration": calibration,
        }


def count_image(
    label: np.ndarray,
    prediction: np.ndarray,
    confidence: np.ndarray | None,
    classes: int,
    ignore_label: int,
) -> ImageCounts:
    """Compares one prediction with its label map.

    Args:
        label: (height, width) class ids or the ignore label.
        prediction: (height, width) class ids.
        confidence: (height, width) probabilities of the predictions; None leaves contours and
            calibration out.
        classes: how many.
        ignore_label: pixels with this label count nowhere.

    Raises:
        ValueError: a label that is neither.
    """
    valid = label != ignore_label
    labels, predictions = label[valid].astype(np.int64), prediction[valid].astype(np.int64)
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        found = np.unique(labels)
        raise ValueError(
            f"expected class ids 0 ... {classes - 1} or the ignore label {ignore_label}. "
            f"Received also: {found[(found < 0) | (found >= classes)][:10].tolist()}"
        )
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    confusion = SparseConfusion.of(counts)
    if confidence is None:
        return ImageCounts(confusion)
    # An ignored region is cut out of both maps alike.
    shown = np.where(valid, prediction, ignore_label)
    edge = edge_distances(*label.shape)[valid]
    to_label = contour_distances(label)[valid]
    to_prediction = contour_distances(shown)[valid]
    return ImageCounts(
        confusion,
        _contour_counts(
            labels,
            predictions,
            to_label,
            np.minimum(to_label, edge),
            np.minimum(to_prediction, edge),
            classes,
            contour_width(*label.shape),
        ),
        calibration_counts(confidence[valid], labels == predictions),
    )


def _contour_counts(
    labels, predictions, from_contour, in_label, in_prediction, classes: int, width: int
) -> ContourCounts:
    """All arguments are (pixels,), the valid ones; the distances reach into the class."""
    widths = (width,)
    return ContourCounts(
        _within(labels, predictions, in_label, in_prediction, classes, widths)[0],
        _within(labels, predictions, in_label, in_prediction, classes, DISTANCES),
        _within(labels, predictions, from_contour, from_contour, classes, DISTANCES),
    )


def _within(
    labels, predictions, to_label, to_prediction, classes: int, distances: tuple[int, ...]
) -> np.ndarray:
    """(distances, 3, classes): hits, labelled and predicted pixels that lie within a distance."""
    right = labels == predictions
    bins = len(distances) + 1
    # How many of the distances a pixel lies beyond, by its own distance.
    beyond = np.searchsorted(distances, np.arange(distances[-1] + 2)) * classes

    def by_class(ids, distance):
        near = beyond[np.minimum(distance, distances[-1] + 1)]
        counts = np.bincount(near + ids, minlength=bins * classes)
        return counts.reshape(bins, classes)[:-1].cumsum(axis=0)

    both = np.maximum(to_label, to_prediction)[right]
    return np.stack(
        [
            by_class(labels[right], both),
            by_class(labels, to_label),
            by_class(predictions, to_prediction),
        ],
        axis=1,
    )


def stack_class_counts(stacked: np.ndarray) -> ClassCounts:
    """From (..., 3, classes) to counts of shape (..., classes)."""
    return ClassCounts(stacked[..., 0, :], stacked[..., 1, :], stacked[..., 2, :])


DISTANCES = (1, 2, 4, 8, 16, 32)  # pixels at which the boundary curve is taken
DIAGONAL_SHARE = 0.02  # of the image's diagonal: the width of the contours in boundary IoU


def contour_distances(ids: np.ndarray) -> np.ndarray:
    """Distance to the nearest pixel of another id, in steps along rows, columns or diagonals.

    Args:
        ids: (height, width) integers.

    Returns:
        (height, width) int32; 1 next to another id, height + width where there is none.
    """
    at_contour = np.zeros(ids.shape, bool)
    everything, first, last = slice(None), slice(None, -1), slice(1, None)
    for here, there in (
        ((first, everything), (last, everything)),
        ((everything, first), (everything, last)),
        ((first, first), (last, last)),
        ((first, last), (last, first)),
    ):
        differs = ids[here] != ids[there]
        at_contour[here] |= differs
        at_contour[there] |= differs
    if not at_contour.any():
        return np.full(ids.shape, sum(ids.shape), np.int32)
    # From any pixel, the first step onto another id leaves from a pixel of `at_contour`.
    return ndimage.distance_transform_cdt(~at_contour, metric="chessboard").astype(np.int32) + 1


def edge_distances(height: int, width: int) -> np.ndarray:
    """Distance of each pixel to the outside of the image, (height, width) int32; 1 at the edge."""
    down, across = (
        np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in (height, width)
    )
    return np.minimum(down[:, None], across[None, :]).astype(np.int32)


def contour_width(height: int, width: int) -> int:
    """Width of the contours in boundary IoU: 2 % of the diagonal, in whole pixels, at least 1."""
    return max(1, round(DIAGONAL_SHARE * float(np.hypot(height, width))))
