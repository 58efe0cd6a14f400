"""What an evaluation found: figures, `scores.json` and a text table.

`scores.json` (`EvaluationResult.to_json`) holds, beside what `EvaluationResult` documents:

    format              2
    mean_iou, pixel_accuracy, mean_accuracy, frequency_weighted_iou
    mean_iou_policies   {left_out, zero, with_background, without_background}
    ade20k_score        (mean IoU with absent classes as 0 + pixel accuracy) / 2
    mean_image_iou      mean over images of each image's own mean IoU
    boundary_iou        mean over classes, contours 2 % of the diagonal wide; null without details
    calibration_error   expected calibration error; null without details
    num_images, valid_pixels, ignore_label, absent_classes, absent_classes_policy
    classes             [{id, name, present, iou, iou_interval, accuracy, boundary_iou,
                          label_pixels, predicted_pixels}]
    intervals           {level, resamples, seed, method, scores: {name: [low, high]}}, where name
                        is any of the figures above (policies as "mean_iou_policies.zero");
                        null where there are fewer than two images
    boundary            {fraction, distances: [pixels], pixels: [share of the valid pixels],
                        trimap_mean_iou, trimap_intervals, boundary_iou, boundary_iou_intervals},
                        each list as long as distances; null without details
    calibration         {edges: [bins + 1], pixels, confidence, accuracy: [bins],
                        expected_error, maximum_error}; confidence and accuracy are null in empty
                        bins; null without details
    protocol            {name, scales, flip, average, window, stride, blend, pad_to_window}
    confusion           {rows: "label", columns: "prediction", unit: "pixels", matrix}
    images              [{name, height, width, valid_pixels, mean_iou, pixel_accuracy,
                          confusion:   {cells, counts}: cell = label * classes + prediction,
                          boundary:    {classes, intersection, label, prediction} | null,
                          calibration: {pixels, confidence, right} | null}] in the order of the
                        examples; counts are whole pixels, confidence is summed over the bin
    seconds

Shares are in 0 ... 1; null stands where a score does not exist. Everything in `intervals`,
`boundary` and `calibration` follows from the images' counts, so that two files over the same
images can be compared image by image.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.metrics.scores import SegmentationScores

ABSENT_POLICY = (
    "Classes that neither the label maps nor the predictions show are absent and left out of the "
    "mean IoU. A class that is predicted but never a label counts with IoU 0. The mean accuracy "
    "runs over the classes that the label maps show."
)


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
    """

    scores: SegmentationScores
    confusion: np.ndarray
    images: tuple[ImageScore, ...]
    class_names: tuple[str, ...]
    ignore_label: int
    seconds: float

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
        scores = self.scores
        labelled, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        classes = [
            {
                "id": k,
                "name": name,
                "present": bool(scores.present[k]),
                "iou": _number(scores.per_class_iou[k]),
                "accuracy": _number(scores.per_class_accuracy[k]),
                "label_pixels": int(labelled[k]),
                "predicted_pixels": int(predicted[k]),
            }
            for k, name in enumerate(self.class_names)
        ]
        return {
            "mean_iou": _number(scores.mean_iou),
            "pixel_accuracy": _number(scores.pixel_accuracy),
            "mean_accuracy": _number(scores.mean_accuracy),
            "frequency_weighted_iou": _number(scores.frequency_weighted_iou),
            "num_images": len(self.images),
            "valid_pixels": int(self.confusion.sum()),
            "ignore_label": self.ignore_label,
            "absent_classes": list(self.absent_classes),
            "absent_classes_policy": ABSENT_POLICY,
            "classes": classes,
            "confusion": {
                "rows": "label",
                "columns": "prediction",
                "unit": "pixels",
                "matrix": self.confusion.tolist(),
            },
            "images": [
                {key: _number(value) for key, value in asdict(image).items()}
                for image in self.images
            ],
            "seconds": round(self.seconds, 3),
        }

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """`to_dict` as JSON text (without NaN), written to `path` if there is one."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
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
        lines.append(f"{'pixel accuracy':{width}}  {'':>7}  {_percent(scores.pixel_accuracy):>10}")
        weighted = _percent(scores.frequency_weighted_iou)
        lines.append(f"{'frequency-weighted IoU':{width}}  {weighted:>7}")
        lines.append(f"{len(self.images)} images, {self.confusion.sum():,} valid pixels")
        if self.absent_classes:
            lines.append(
                f"Left out of the mean IoU, as neither labels nor predictions show them: "
                f"{', '.join(self.absent_classes)}"
            )
        return "\n".join(lines)


def _number(value):
    return None if isinstance(value, float) and math.isnan(value) else value


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100.0 * value:.2f}"
