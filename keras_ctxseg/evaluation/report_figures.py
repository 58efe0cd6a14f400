"""Figures of a report: score tiles, other conventions, tables by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ctxseg.evaluation.result import EvaluationResult

CHARACTER = 6.4  # pixels that a letter takes at the label size of the matrix, about
MOST_CHARACTERS = 22
NUMBERS_UP_TO = 24  # classes; beyond, the cells are too small for figures


def class_rows(
    result: EvaluationResult, palette: np.ndarray, content: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Name, colour, IoU with interval, F1, precision, accuracy and share of the labels for each
    class; None for no score. `content` is the result's `to_dict()`."""
    share = result.confusion.sum(axis=1) / max(1, result.confusion.sum())
    scores = result.scores
    return [
        {
            "name": name,
            "color": "#{:02x}{:02x}{:02x}".format(*(int(part) for part in palette[k])),
            "present": bool(scores.present[k]),
            "iou": _known(scores.per_class_iou[k]),
            "interval": known_interval(content["classes"][k].get("iou_interval")),
            "f1": _known(scores.per_class_f1[k]),
            "precision": _known(scores.per_class_precision[k]),
            "accuracy": _known(scores.per_class_accuracy[k]),
            "share": float(share[k]),
        }
        for k, name in enumerate(result.class_names)
    ]


def confusion_figure(result: EvaluationResult) -> dict[str, Any]:
    """Geometry of the heat map, in pixels: each row is the share of that label's pixels."""
    matrix, names = result.confusion, result.class_names
    count = len(names)
    cell = 34 if count <= 12 else 26 if count <= NUMBERS_UP_TO else 17 if count <= 40 else 14
    left = 14 + CHARACTER * min(MOST_CHARACTERS, max(len(name) for name in names))
    # Column names stand at 45 degrees.
    top = 12 + left * 0.75
    cells = []
    for row, column in zip(*np.nonzero(matrix), strict=True):
        share = matrix[row, column] / matrix[row].sum()
        cells.append(
            {
                "x": left + column * cell,
                "y": top + row * cell,
                "share": float(share),
                "opacity": float(share**0.6),  # keeps a few percent visible
                "count": int(matrix[row, column]),
                "row": names[row],
                "column": names[column],
                "figure": _figure(share) if count <= NUMBERS_UP_TO else "",
                "diagonal": bool(row == column),
            }
        )
    return {
        "cells": cells,
        "cell": cell,
        "left": left,
        "top": top,
        "side": count * cell,
        "width": left + count * cell + left * 0.75 + 8,
        "height": top + count * cell + 8,
        "names": [_shorten(name) for name in names],
        "full_names": names,
    }


def common_confusions(result: EvaluationResult, most: int = 10) -> list[dict[str, Any]]:
    """The pairs that cost most pixels: label, prediction, share of the label, share of all."""
    wrong = result.confusion.copy()
    np.fill_diagonal(wrong, 0)
    labelled, total = result.confusion.sum(axis=1), max(1, result.confusion.sum())
    pairs = []
    for flat in np.argsort(wrong, axis=None, kind="stable")[::-1][:most]:
        row, column = np.unravel_index(flat, wrong.shape)
        if wrong[row, column]:
            pairs.append(
                {
                    "label": result.class_names[row],
                    "prediction": result.class_names[column],
                    "of_label": float(wrong[row, column] / labelled[row]),
                    "of_all": float(wrong[row, column] / total),
                }
            )
    return pairs


def known_interval(ends: Sequence[float | None] | None) -> Sequence[float | None] | None:
    """The interval; None where there is none, or an end is not known."""
    return None if ends is None or None in ends else ends


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _figure(share: float) -> str:
    percent = round(100.0 * share)
    return str(percent) if percent else ""


def _shorten(name: str) -> str:
    return name if len(name) <= MOST_CHARACTERS else name[: MOST_CHARACTERS - 1] + "…"


TILES = {
    "mean_iou": "mean IoU",
    "panoptic.all.pq": "panoptic quality",
    "panoptic.things.pq": "PQ of things",
    "panoptic.stuff.pq": "PQ of stuff",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_precision": "mean precision",
    "mean_f1": "mean F1 (Dice)",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_iou": "boundary IoU",
    "calibration_error": "calibration error",
}
CONVENTIONS = {
    "mean_iou_policies.zero": ("mean IoU, absent as 0", "over all classes; absent ones count 0"),
    "mean_iou_policies.with_background": (
        "mean IoU, with background",
        "as PASCAL-Context's 60 classes: a network without the background has IoU 0 for it",
    ),
    "mean_iou_policies.without_background": (
        "mean IoU, without background",
        "as PASCAL-Context's 59 classes",
    ),
    "ade20k_score": (
        "ADE20K's final score",
        "mean of pixel accuracy and mean IoU with absent classes as 0",
    ),
    "mean_image_iou": ("mean image IoU", "mean over the images of each image's own mean IoU"),
}


def score_tiles(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Title, value and interval of the main scores that `EvaluationResult.to_dict()` holds."""
    return [
        {"title": title, "value": _value(content, name), "interval": _interval(content, name)}
        for name, title in TILES.items()
        if name in ("mean_iou", "pixel_accuracy") or _value(content, name) is not None
    ]


def _value(content: Mapping[str, Any], name: str) -> Any:
    """What stands at a dotted name, or None."""
    value: Any = content
    for key in name.split("."):
        value = (value or {}).get(key)
    return value


def other_conventions(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Title, value, interval and meaning of the scores that other work reports."""
    rows = []
    for name, (title, note) in CONVENTIONS.items():
        value = _value(content, name)
        if value is not None:
            rows.append(
                {
                    "title": title,
                    "note": note,
                    "value": value,
                    "interval": _interval(content, name),
                }
            )
    return rows


def _interval(content: Mapping[str, Any], name: str):
    return known_interval(((content.get("intervals") or {}).get("scores") or {}).get(name))
