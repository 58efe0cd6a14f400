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
        columns = {
            "IoU %": (*scores.per_class_iou, scores.mean_iou),
            "F1 %": (*scores.per_class_f1, scores.mean_f1),
            "precision %": (*scores.per_class_precision, scores.mean_precision),
            "accuracy %": (*scores.per_class_accuracy, scores.mean_accuracy),
            "pixels %": share,
        }
        widths = {title: max(7, len(title)) for title in columns}

        def line(name, cells):
            cells = zip(cells, widths.values(), strict=True)
            return "  ".join([f"{name:{width}}", *(f"{cell:>{size}}" for cell, size in cells)])

        lines = [line("class", columns)]
        for k, name in enumerate(self.class_names):
            lines.append(line(name, [_percent(column[k]) for column in columns.values()]))
        lines.append("-" * len(lines[0]))
        means = [_percent(column[-1]) for title, column in columns.items() if title != "pixels %"]
        lines.append(line("mean", [*means, ""]).rstrip())
        if self.intervals is not None:
            low, high = self.intervals.scores["mean_iou"]
            together = "" if self.block == 1 else f", {self.block} neighbours drawn at a time"
            lines.append(
                f"{f'{LEVEL:.0%} interval':{width}}  {_percent(low)} to {_percent(high)}{together}"
            )
        pixel_accuracy = ["", "", "", _percent(scores.pixel_accuracy), ""]
        lines.append(line("pixel accuracy", pixel_accuracy).rstrip())
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
