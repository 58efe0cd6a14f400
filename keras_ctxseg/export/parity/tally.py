"""Counts, image by image, how far an export is from its Keras model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.litert.forms import LitertForm
from keras_ctxseg.export.parity.report import (
    MAX_SOFTMAX_DIFFERENCE,
    MIN_LABEL_AGREEMENT,
    TIE,
    ParityReport,
)
from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.metrics.scores import scores_from_confusion


@dataclass(frozen=True)
class Limits:
    """What a comparison must show; the fields of `ParityReport` of these names."""

    max_softmax_limit: float = MAX_SOFTMAX_DIFFERENCE
    label_agreement_limit: float = MIN_LABEL_AGREEMENT
    mean_softmax_limit: float = math.inf
    mean_iou_loss_limit: float = math.inf

    @classmethod
    def of(cls, form: LitertForm) -> Limits:
        return cls(
            form.max_softmax_limit,
            form.label_agreement_limit,
            form.mean_softmax_limit,
            form.mean_iou_loss_limit,
        )


class Tally:
    """Sums over images; in memory is one image at a time.

    Args:
        path: the export, for errors and the report.
        ignore_label: the id of no class in true labels.
    """

    def __init__(self, path: Path, ignore_label: int = IGNORE_LABEL):
        self._path = path
        self._ignore_label = ignore_label
        self._images = self._pixels = self._agreeing = self._ties = self._values = 0
        self._sum = 0.0
        self._worst: float | None = None
        self._confusion: list[np.ndarray] | None = None

    def add(
        self,
        reference: np.ndarray,
        candidate: np.ndarray | None,
        labels: np.ndarray,
        truth: np.ndarray | None = None,
    ) -> None:
        """Counts one image.

        Args:
            reference: Keras' logits (height, width, classes).
            candidate: the export's; None if it puts out labels only.
            labels: the export's class ids (height, width).
            truth: the image's.

        Raises:
            ExportError: shapes or numbers of classes disagree.
        """
        if candidate is not None:
            if reference.shape != candidate.shape:
                raise ExportError(
                    f"{self._path}: expected logits {reference.shape}. Received {candidate.shape}."
                )
            difference = np.abs(softmax(candidate) - softmax(reference))
            self._sum += float(difference.sum(dtype=np.float64))
            self._values += difference.size
            self.worst(difference)
        if labels.shape != reference.shape[:2]:
            raise ExportError(
                f"{self._path}: expected labels {reference.shape[:2]}. Received {labels.shape}."
            )
        if labels.max() >= reference.shape[-1]:
            raise ExportError(
                f"{self._path}: expected class ids below {reference.shape[-1]}."
                f" Received {labels.max()}."
            )
        expected = reference.argmax(axis=-1)
        self._images += 1
        self._pixels += labels.size
        differing = expected != labels
        self._agreeing += labels.size - int(np.count_nonzero(differing))
        self._ties += int(np.count_nonzero(_gaps(reference[differing], labels[differing]) < TIE))
        if truth is not None:
            classes = reference.shape[-1]
            self._confusion = self._confusion or [np.zeros((classes, classes), np.int64)] * 2
            self._confusion = [
                matrix + self._counts(truth, predicted, classes)
                for matrix, predicted in zip(self._confusion, (labels, expected), strict=True)
            ]

    def worst(self, difference: np.ndarray) -> None:
        """Takes differences into account for the largest one alone."""
        # np.max keeps a NaN, Python's max may lose it.
        known = 0.0 if self._worst is None else self._worst
        self._worst = float(np.max([known, np.max(difference)]))

    def report(self, limits: Limits) -> ParityReport:
        """The figures, beside what they must be."""
        ious: list[float | None] = [None, None]
        if self._confusion is not None:
            ious = [scores_from_confusion(matrix).mean_iou for matrix in self._confusion]
        return ParityReport(
            path=str(self._path),
            images=self._images,
            pixels=self._pixels,
            max_softmax_difference=self._worst,
            mean_softmax_difference=self._sum / self._values if self._values else None,
            label_agreement=self._agreeing / self._pixels,
            ties=self._ties / self._pixels,
            mean_iou=ious[0],
            keras_mean_iou=ious[1],
            max_softmax_limit=limits.max_softmax_limit,
            label_agreement_limit=limits.label_agreement_limit,
            mean_softmax_limit=limits.mean_softmax_limit,
            mean_iou_loss_limit=limits.mean_iou_loss_limit,
        )

    def _counts(self, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
        known = (truth != self._ignore_label) & (truth < classes)
        pairs = truth[known].astype(np.int64) * classes + predicted[known]
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def _gaps(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How far the logits (pixels, classes) of `labels` (pixels,) are below the largest ones."""
    chosen = np.take_along_axis(logits, labels[:, np.newaxis].astype(np.int64), axis=-1)
    return logits.max(axis=-1) - chosen[:, 0]
