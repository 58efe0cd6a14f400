"""The curves of a report: training, boundaries by distance, calibration."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ctxseg.pages.svg_chart import Line, line_chart

if TYPE_CHECKING:
    from markupsafe import Markup

Charts = list[tuple[str, "Markup"]]


def training_charts(log: str | os.PathLike | None) -> Charts:
    """Loss, mean IoU and learning rate by epoch, from a run's `log.csv`; none without a file."""
    if log is None or not Path(log).is_file():
        return []
    with Path(log).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) < 2:  # one epoch is no curve
        return []
    epochs = np.array([int(row["epoch"]) + 1 for row in rows])

    def column(name: str, factor: float = 1.0) -> np.ndarray:
        return factor * np.array([float(row.get(name) or "nan") for row in rows])

    names = rows[0].keys()
    charts = []
    losses = [name for name in names if name == "loss" or name.endswith("_loss")]
    # Values beyond the first epochs' fall are what one wants to see.
    if losses:
        lines = [_curve(epochs, column(name), name, k % 4) for k, name in enumerate(losses[:6])]
        charts.append(("Loss", line_chart(lines, "epoch", "loss", (0.0, None))))
    scores = {"mean_iou": "training crops", "val_mean_iou": "validation"}
    lines = [
        _curve(epochs, column(name, 100.0), title, k)
        for k, (name, title) in enumerate(scores.items())
        if name in names
    ]
    if lines:
        charts.append(("Mean IoU, %", line_chart(lines, "epoch", "mean IoU", (0.0, None))))
    if "learning_rate" in names:
        lines = [_curve(epochs, column("learning_rate"), "learning rate", 2)]
        charts.append(("Learning rate", line_chart(lines, "epoch", "learning rate", (0.0, None))))
    return charts


def boundary_charts(boundary: Mapping[str, Any] | None) -> Charts:
    """Scores near contours by distance, from `scores.json`'s `boundary`; none without it."""
    if not boundary:
        return []
    charts = []
    for key, intervals, title in (
        ("trimap_mean_iou", "trimap_intervals", "Mean IoU up to a distance of contours, %"),
        ("boundary_iou", "boundary_iou_intervals", "Boundary IoU by its distance, %"),
    ):
        scores = _numbers(boundary.get(key))
        if np.isfinite(scores).any():
            band = boundary.get(intervals)
            line = Line(
                title,
                boundary["distances"],
                100 * scores,
                None if band is None else 100 * _numbers(band).reshape(-1, 2),
                marks=True,
            )
            charts.append((title, line_chart([line], "distance, pixels", title)))
    return charts


def calibration_charts(calibration: Mapping[str, Any] | None) -> Charts:
    """Accuracy by confidence, and how often each confidence occurs; none without counts."""
    if not calibration:
        return []
    confidence, accuracy = (100 * _numbers(calibration[key]) for key in ("confidence", "accuracy"))
    known = np.isfinite(confidence) & np.isfinite(accuracy)
    if not known.any():
        return []
    diagonal = Line("as promised", [0, 100], [0, 100], color=3, dashed=True)
    measured = Line("measured", confidence[known], accuracy[known], color=0, marks=True)
    edges = 100 * _numbers(calibration["edges"])
    pixels = _numbers(calibration["pixels"])
    share = 100 * pixels / max(1.0, pixels.sum())
    steps = Line("pixels", np.repeat(edges, 2)[1:-1], np.repeat(share, 2), color=2)
    return [
        (
            "Right pixels by confidence, %",
            line_chart(
                [measured, diagonal], "confidence, %", "right pixels", (0.0, 100.0), (0, 100)
            ),
        ),
        (
            "Pixels by confidence, %",
            line_chart([steps], "confidence, %", "share of the pixels", (0.0, None), (0, 100)),
        ),
    ]


def _curve(epochs: np.ndarray, values: np.ndarray, name: str, color: int) -> Line:
    """Validations that do not run in every epoch are joined, and marked."""
    known = np.isfinite(values)
    sparse = known.sum() < 0.6 * len(values)
    if sparse:
        return Line(name, epochs[known], values[known], color=color, marks=True)
    return Line(name, epochs, values, color=color)


def _numbers(values) -> np.ndarray:
    """A list of numbers as it stands in JSON, None as NaN."""
    return np.array(values if values is not None else [], dtype=float)
