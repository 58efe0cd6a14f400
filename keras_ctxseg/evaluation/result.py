"""What an evaluation found: figures, a text table, and JSON (`scores_file` says what it holds)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ctxseg.evaluation.panoptic_summary import panoptic_table
from keras_ctxseg.evaluation.scored_images import LEVEL, ScoredImages
from keras_ctxseg.evaluation.scores_file import scores_to_dict, scores_to_text


class EvaluationResult(ScoredImages):
    """The scores of an evaluation, to read, to print and to keep."""

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


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100.0 * value:.2f}"
