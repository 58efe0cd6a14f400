"""What an evaluation found: figures, a text table, and JSON (`scores_file` says what it holds)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.evaluation import summaries
from keras_ctxseg.evaluation.image_counts import ImageCounts
from keras_ctxseg.evaluation.panoptic_summary import panoptic_table
from keras_ctxseg.evaluation.scores_file import ABSENT_POLICY, scores_to_dict, scores_to_text
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.metrics.bootstrap import resample_images
from keras_ctxseg.metrics.calibration import CalibrationCounts
from keras_ctxseg.metrics.panoptic_quality import PanopticScores
from keras_ctxseg.metrics.scores import SegmentationScores

__all__ = ["ABSENT_POLICY", "EvaluationResult", "ImageScore"]

LEVEL, RESAMPLES, SEED = 0.95, 1000, 0  # of the intervals


@dataclass(frozen=True)
class ImageScore:
    """Scores of one image.

    Attributes:
        name: the image's name.
        height: of the label map, in pixels.
        width: of the label map, in pixels.
        valid_pixels: pixels that counted.
        mean_iou: over the classes that this image's label map or prediction shows; NaN where no
            pixel counted.
        pixel_accuracy: right pixels / valid pixels; NaN where no pixel counted.
    """

    name: str
    height: int
    width: int
    valid_pixels: int
    mean_iou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a whole set of images.

    Attributes:
        scores: from the confusion matrix of all pixels together.
        confusion: (classes, classes) int64, pixels by label (row) and prediction (column).
        images: one entry per image, in the order of the examples.
        class_names: in the order of the ids.
        ignore_label: the id that counted nowhere.
        seconds: wall-clock time of the evaluation, reading included.
        counts: of each image, in the same order; empty where nobody kept them.
        protocol: how the predictions were made.
        panoptic: quality of the segments; None where instances were not told apart.
        block: images in a row that the intervals draw together.

    Contours, calibration and intervals follow from the images' counts when first asked for.
    """

    scores: SegmentationScores
    confusion: np.ndarray
    images: tuple[ImageScore, ...]
    class_names: tuple[str, ...]
    ignore_label: int
    seconds: float
    counts: tuple[ImageCounts, ...] = ()
    protocol: Protocol = field(default_factory=Protocol)
    panoptic: PanopticScores | None = None
    block: int = 1

    @cached_property
    def boundary(self) -> summaries.BoundaryScores | None:
        """Scores along the contours; None where the evaluator left the details out."""
        if not self._has_details:
            return None
        count = len(self.counts)
        draws = resample_images(count, RESAMPLES, SEED, self.block) if count > 1 else None
        return summaries.boundary_scores(self.counts, draws, LEVEL)

    @cached_property
    def calibration(self) -> summaries.Calibration | None:
        """Confidence against accuracy; None where the evaluator left the details out."""
        if not self._has_details:
            return None
        stacked = summaries.stack_calibration(self.counts)
        return summaries.calibration(CalibrationCounts(*(part.sum(axis=0) for part in stacked)))

    @cached_property
    def intervals(self) -> summaries.Intervals | None:
        """How sure the figures are, by a bootstrap over images; None for fewer than two."""
        if len(self.counts) < 2:
            return None
        background = background_class(self.class_names)
        classes = len(self.class_names)
        return summaries.intervals(
            self.counts, classes, background, RESAMPLES, SEED, self.block, LEVEL
        )

    @property
    def mean_image_iou(self) -> float:
        """Mean of the images' own mean IoUs; NaN where no pixel counted."""
        values = [image.mean_iou for image in self.images if image.valid_pixels]
        return float(np.mean(values)) if values else float("nan")

    @property
    def _has_details(self) -> bool:
        return bool(self.counts) and self.counts[0].contour is not None

    @property
    def absent_classes(self) -> tuple[str, ...]:
        """Names of the classes that were left out of the mean IoU."""
        pairs = zip(self.class_names, self.scores.present, strict=True)
        return tuple(name for name, present in pairs if not present)

    def ranked(self) -> list[ImageScore]:
        """Images with at least one valid pixel, by mean IoU, the worst first."""
        counted = [image for image in self.images if image.valid_pixels]
        return sorted(counted, key=lambda image: (image.mean_iou, image.name))

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python values; None stands where a score does not exist."""
        return scores_to_dict(self)

    def to_json(
        self, path: str | os.PathLike | None = None, source: Mapping[str, Any] | None = None
    ) -> str:
        """`to_dict` as JSON text (without NaN), written to `path` if there is one.

        Args:
            path: of the file.
            source: what was scored, for the file's `source`, as in `scores_file.py`.
        """
        text = scores_to_text(scores_to_dict(self, source))
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def table(self) -> str:
        """A text table: a line for each class, the means, and what was left out."""
        scores = self.scores
        share = self.confusion.sum(axis=1) / max(1, self.confusion.sum())
        width = max(len("frequency-weighted IoU"), *(len(name) for name in self.class_names))
        lines = [f"{'class':{width}}  {'IoU %':>7}  {'accuracy %':>10}  {'pixels %':>8}"]
        rows = zip(
            self.class_names,
            scores.per_class_iou,
            scores.per_class_accuracy,
            share,
            strict=True,
        )
        for name, iou, accuracy, part in rows:
            lines.append(
                f"{name:{width}}  {_percent(iou):>7}  {_percent(accuracy):>10}  {_percent(part):>8}"
            )
        lines.append("-" * len(lines[0]))
        lines.append(f"{'mean':{width}}  {_percent(scores.mean_iou):>7}  "
                     f"{_percent(scores.mean_accuracy):>10}")  # fmt: skip
        if self.intervals is not None:
            low, high = self.intervals.scores["mean_iou"]
            together = "" if self.block == 1 else f", {self.block} neighbours drawn at a time"
            lines.append(
                f"{f'{LEVEL:.0%} interval':{width}}  {_percent(low)} to {_percent(high)}{together}"
            )
        lines.append(f"{'pixel accuracy':{width}}  {'':>7}  {_percent(scores.pixel_accuracy):>10}")
        figures = {
            "frequency-weighted IoU": scores.frequency_weighted_iou,
            "mean IoU by image": self.mean_image_iou,
        }
        if self.boundary is not None:
            figures["boundary IoU"] = self.boundary.mean_iou
        if self.calibration is not None:
            figures["calibration error"] = self.calibration.expected_error
        lines += [f"{name:{width}}  {_percent(value):>7}" for name, value in figures.items()]
        lines.append(f"{len(self.images)} images, {self.confusion.sum():,} valid pixels")
        if self.absent_classes:
            lines.append(
                f"Left out of the mean IoU, as neither labels nor predictions show them: "
                f"{', '.join(self.absent_classes)}"
            )
        if self.panoptic is not None:
            lines += ["", panoptic_table(self.panoptic, self.class_names)]
        return "\n".join(lines)


def background_class(names: tuple[str, ...]) -> int | None:
    """Id of the class that is called background, or None."""
    lowered = [name.lower() for name in names]
    return lowered.index("background") if "background" in lowered else None


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100.0 * value:.2f}"
