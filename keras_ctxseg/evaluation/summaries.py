"""What the counts of all images say: contours, calibration, and how sure the figures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from keras_ctxseg.evaluation.image_counts import DISTANCES, ImageCounts, stack_class_counts
from keras_ctxseg.metrics.bootstrap import percentile_interval, resample_images
from keras_ctxseg.metrics.calibration import CalibrationCounts, bin_edges, calibration_errors
from keras_ctxseg.metrics.scores import (
    ClassCounts,
    class_iou,
    mean_of_known,
    summary_scores,
)


@dataclass(frozen=True)
class BoundaryScores:
    """How well contours are met; all shares in 0 ... 1, NaN where there is no contour.

    A class's contour is the strip along the inside of its edge, the image's edge included. Its
    boundary IoU compares the strips of label and prediction. A trimap is the band around the label
    map's contours, in which the mean IoU counts. Ignored regions count as a class of their own when
    contours are found, in both maps, and their pixels nowhere. Distances are steps along rows,
    columns or diagonals.

    Attributes:
        mean_iou: boundary IoU at 2 % of the image's diagonal, averaged over classes.
        per_class_iou: (classes,) float64.
        distances: pixels.
        pixels: (distances,) float64, share of the valid pixels that the trimap holds.
        trimap_mean_iou: (distances,) float64.
        trimap_intervals: (distances, 2) float64.
        boundary_iou: (distances,) float64, mean over classes for contours of that width.
        boundary_iou_intervals: (distances, 2) float64.

    Reference: Cheng et al., "Boundary IoU", CVPR 2021, section 4; Kohli et al., "Robust Higher
    Order Potentials for Enforcing Label Consistency", IJCV 2009, section 6 (trimaps).
    """

    mean_iou: float
    per_class_iou: np.ndarray
    distances: tuple[int, ...]
    pixels: np.ndarray
    trimap_mean_iou: np.ndarray
    trimap_intervals: np.ndarray
    boundary_iou: np.ndarray
    boundary_iou_intervals: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """Whether the network is right as often as it says.

    Attributes:
        edges: (bins + 1,) float64, of the confidences.
        pixels: (bins,) int64.
        confidence: (bins,) float64, mean; NaN in empty bins.
        accuracy: (bins,) float64; NaN in empty bins.
        expected_error: gap between the two, averaged over pixels.
        maximum_error: the largest gap of a bin.
    """

    edges: np.ndarray
    pixels: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    expected_error: float
    maximum_error: float


@dataclass(frozen=True)
class Intervals:
    """Where scores would lie with other images: percentiles of a bootstrap over images.

    Attributes:
        level: share of the resamples inside.
        resamples: how many.
        seed: of the draws.
        block: images in a row that were drawn together.
        scores: lower and upper end by the score's name.
        per_class_iou: (classes, 2) float64.
    """

    level: float
    resamples: int
    seed: int
    block: int
    scores: dict[str, tuple[float, float]]
    per_class_iou: np.ndarray


def boundary_scores(
    images: Sequence[ImageCounts], draws: np.ndarray | None, level: float
) -> BoundaryScores:
    """`BoundaryScores` of all images, with intervals from `draws` (resamples, images) if any."""

    def ends(counts: ClassCounts) -> np.ndarray:
        if draws is None:
            return np.full((len(DISTANCES), 2), np.nan)
        return percentile_interval(_mean_iou(counts.weighted(draws)), level)

    contours = [image.contour for image in images if image.contour is not None]
    trimap, rings = (
        stack_class_counts(np.stack([getattr(one, name) for one in contours]))
        for name in ("trimap", "contours")
    )
    iou = class_iou(_over_images(stack_class_counts(np.stack([c.boundary for c in contours]))))
    valid = sum(int(image.confusion.counts.sum()) for image in images)
    return BoundaryScores(
        mean_iou=float(mean_of_known(iou)),
        per_class_iou=iou,
        distances=DISTANCES,
        pixels=trimap.labelled.sum(axis=(0, 2)) / max(valid, 1),
        trimap_mean_iou=_mean_iou(_over_images(trimap)),
        trimap_intervals=ends(trimap),
        boundary_iou=_mean_iou(_over_images(rings)),
        boundary_iou_intervals=ends(rings),
    )


def calibration(counts: CalibrationCounts) -> Calibration:
    """From the counts of all images, summed up."""
    expected, maximum = calibration_errors(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence, accuracy = counts.confidence / counts.pixels, counts.right / counts.pixels
    return Calibration(
        bin_edges(len(counts.pixels)),
        counts.pixels,
        confidence,
        accuracy,
        float(expected),
        float(maximum),
    )


def intervals(
    images: Sequence[ImageCounts],
    classes: int,
    background: int | None,
    resamples: int,
    seed: int,
    block: int,
    level: float,
) -> Intervals:
    """Resamples the images and scores each draw, from their counts alone."""
    draws = resample_images(len(images), resamples, seed, block)
    counts = class_counts(images, classes, background)
    drawn = counts.weighted(draws)
    values = summary_scores(drawn)
    own = mean_of_known(class_iou(counts))
    known = ~np.isnan(own)
    with np.errstate(invalid="ignore"):
        values["mean_image_iou"] = (draws[:, known] @ own[known]) / draws[:, known].sum(axis=1)
    contours = [image.contour.boundary for image in images if image.contour is not None]
    if contours:
        values["boundary_iou"] = _mean_iou(stack_class_counts(np.stack(contours)).weighted(draws))
        stacked = stack_calibration(images)
        values["calibration_error"] = calibration_errors(stacked.weighted(draws))[0]
    ends = partial(percentile_interval, level=level)
    scores = {name: tuple(ends(value).tolist()) for name, value in values.items()}
    return Intervals(level, resamples, seed, block, scores, ends(class_iou(drawn)))


def class_counts(
    images: Sequence[ImageCounts], classes: int, background: int | None
) -> ClassCounts:
    """Counts of shape (images, classes)."""
    parts = [ClassCounts.of(image.confusion.dense(classes), background) for image in images]
    rows = [part.on_background for part in parts if part.on_background is not None]
    return ClassCounts(
        np.stack([part.hits for part in parts]),
        np.stack([part.labelled for part in parts]),
        np.stack([part.predicted for part in parts]),
        np.stack(rows) if rows else None,
        background,
    )


def stack_calibration(images: Sequence[ImageCounts]) -> CalibrationCounts:
    """Counts of shape (images, bins)."""
    parts = [image.calibration for image in images if image.calibration is not None]
    return CalibrationCounts(*(np.stack([part[k] for part in parts]) for k in range(3)))


def _over_images(counts: ClassCounts) -> ClassCounts:
    return ClassCounts(*(part.sum(axis=0) for part in counts[:3]))


def _mean_iou(counts: ClassCounts) -> np.ndarray:
    return mean_of_known(class_iou(counts))
