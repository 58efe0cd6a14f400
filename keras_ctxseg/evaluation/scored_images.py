"""The scores of a set of images: counted, and what follows from the counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from keras_ctxseg.evaluation import summaries
from keras_ctxseg.evaluation.image_counts import ImageCounts
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.metrics.bootstrap import resample_images
from keras_ctxseg.metrics.calibration import CalibrationCounts
from keras_ctxseg.metrics.panoptic_quality import PanopticScores
from keras_ctxseg.metrics.scores import SegmentationScores

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
class ScoredImages:
    """The scores of a whole set of images, and the figures that follow from them.

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


def background_class(names: tuple[str, ...]) -> int | None:
    """Id of the class that is called background, or None."""
    lowered = [name.lower() for name in names]
    return lowered.index("background") if "background" in lowered else None
