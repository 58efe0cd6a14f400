"""Panoptic quality (Kirillov et al., arXiv 1801.00868), from counts that add up over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_ctxseg.labels.panoptic import CROWD, IGNORE_LABEL, class_ids, instance_numbers


@dataclass(frozen=True)
class PanopticCounts:
    """Matched and unmatched segments by class; sums of counts are counts.

    Attributes:
        iou: float64 (classes,), the IoUs of the matched pairs, summed up.
        matched, missed, invented: int64 (classes,), pairs; segments of the label map without a
            partner; predicted ones without.
    """

    iou: np.ndarray
    matched: np.ndarray
    missed: np.ndarray
    invented: np.ndarray

    @classmethod
    def none(cls, num_classes: int) -> PanopticCounts:
        return cls(np.zeros(num_classes), *(np.zeros(num_classes, np.int64) for _ in range(3)))

    def __add__(self, other: PanopticCounts) -> PanopticCounts:
        return PanopticCounts(
            self.iou + other.iou,
            self.matched + other.matched,
            self.missed + other.missed,
            self.invented + other.invented,
        )


@dataclass(frozen=True)
class PanopticQuality:
    """Quality averaged over classes, all in 0 ... 1; NaN where no class had a segment.

    Attributes:
        pq: panoptic quality.
        sq: segmentation quality, the mean IoU of matched pairs; 0 for a class without any.
        rq: recognition quality, the F1 score of segments.
        classes: over how many classes.
    """

    pq: float
    sq: float
    rq: float
    classes: int


@dataclass(frozen=True)
class PanopticScores:
    """What the counts say.

    Attributes:
        all, things, stuff: averages over classes that label maps or predictions show.
        per_class_pq, per_class_sq, per_class_rq: float64 (classes,); NaN for other classes.
        counts: which everything follows from.
        thing_classes: ids.
    """

    all: PanopticQuality
    things: PanopticQuality
    stuff: PanopticQuality
    per_class_pq: np.ndarray
    per_class_sq: np.ndarray
    per_class_rq: np.ndarray
    counts: PanopticCounts
    thing_classes: tuple[int, ...]


def count_segments(
    label: np.ndarray, prediction: np.ndarray, num_classes: int, ignore_label: int = IGNORE_LABEL
) -> PanopticCounts:
    """Pairs up the segments of one image.

    A pair matches if its classes agree and its IoU is above 0.5; then no other pair can. Void
    pixels of the label map do not count for the union. A prediction without a partner is not
    counted at all if more than half of it lies on void or on a crowd of its class. Crowds are
    neither matched nor missed. (COCO's panopticapi does the same.)

    Args:
        label: integer (height, width), panoptic label map: class + 1024 * instance.
        prediction: likewise; pixels of `ignore_label` are void.
        num_classes: number of classes.
        ignore_label: the class of void pixels.

    Raises:
        ValueError: shapes that differ, or a class that is neither a class nor the ignore label.
    """
    if label.shape != prediction.shape or label.ndim != 2:
        raise ValueError(
            "`label` and `prediction` must be maps of one size. Received: shapes "
            f"{label.shape} and {prediction.shape}"
        )
    truths, truth_of, truth_area = _segments(label, num_classes, ignore_label, "label")
    guesses, guess_of, guess_area = _segments(prediction, num_classes, ignore_label, "prediction")
    shared = np.bincount(
        truth_of * len(guesses) + guess_of, minlength=len(truths) * len(guesses)
    ).reshape(len(truths), len(guesses))

    truth_class, guess_class = class_ids(truths), class_ids(guesses)
    truth_void, guess_void = truth_class == ignore_label, guess_class == ignore_label
    crowd = ~truth_void & (instance_numbers(truths) == CROWD)
    on_void = shared[truth_void].sum(axis=0)
    union = truth_area[:, None] + guess_area[None] - shared - on_void[None]
    same = truth_class[:, None] == guess_class[None]
    eligible = same & ~(truth_void | crowd)[:, None] & ~guess_void[None]
    # Twice the intersection against the union: whole numbers, so that a tie is a tie.
    hits = eligible & (2 * shared > union)

    rows, columns = np.nonzero(hits)
    missed = ~hits.any(axis=1) & ~truth_void & ~crowd
    excused = on_void + (shared * (same & crowd[:, None])).sum(axis=0)
    invented = ~hits.any(axis=0) & ~guess_void & ~(2 * excused > guess_area)

    def per_class(classes, weights=None):
        return np.bincount(classes, weights, minlength=num_classes)

    pair_class = truth_class[rows]
    return PanopticCounts(
        per_class(pair_class, shared[rows, columns] / union[rows, columns]),
        per_class(pair_class),
        per_class(truth_class[missed]),
        per_class(guess_class[invented]),
    )


def panoptic_scores(counts: PanopticCounts, thing_classes: Sequence[int]) -> PanopticScores:
    """Panoptic, segmentation and recognition quality from counts."""
    segments = counts.matched + 0.5 * counts.missed + 0.5 * counts.invented
    with np.errstate(invalid="ignore", divide="ignore"):
        recognition = counts.matched / segments
        quality = counts.iou / segments
        overlap = np.where(counts.matched > 0, counts.iou / counts.matched, 0.0)
    overlap = np.where(segments > 0, overlap, np.nan)
    is_thing = np.isin(np.arange(len(segments)), list(thing_classes))

    def average(chosen: np.ndarray) -> PanopticQuality:
        seen = chosen & (segments > 0)
        if not seen.any():
            return PanopticQuality(np.nan, np.nan, np.nan, 0)
        pq, sq, rq = (float(values[seen].mean()) for values in (quality, overlap, recognition))
        return PanopticQuality(pq, sq, rq, int(seen.sum()))

    return PanopticScores(
        average(np.ones_like(is_thing)),
        average(is_thing),
        average(~is_thing),
        quality,
        overlap,
        recognition,
        counts,
        tuple(thing_classes),
    )


def _segments(labels: np.ndarray, num_classes: int, ignore_label: int, name: str):
    """The labels that occur, the place among them of each pixel, and pixels of each."""
    present, places, areas = np.unique(labels, return_inverse=True, return_counts=True)
    classes = class_ids(present)
    wrong = present[((classes >= num_classes) & (classes != ignore_label)) | (present < 0)]
    if wrong.size:
        raise ValueError(
            f"`{name}`: expected classes 0 ... {num_classes - 1} or {ignore_label}. Received: "
            f"{', '.join(map(str, np.unique(class_ids(wrong))[:8]))}"
        )
    # Whatever instance void has, it is one region.
    void = classes == ignore_label
    merged = np.where(void, ignore_label, present)
    unique, mapping = np.unique(merged, return_inverse=True)
    totals = np.bincount(mapping, areas, minlength=len(unique)).astype(np.int64)
    return unique.astype(np.int64), mapping[places.ravel()], totals
