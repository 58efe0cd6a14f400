"""The scores that a report names: tiles at its top, and other conventions further down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_ctxseg.evaluation.report_figures import known_interval

TILES = {
    "mean_iou": "mean IoU",
    "panoptic.all.pq": "panoptic quality",
    "panoptic.things.pq": "PQ of things",
    "panoptic.stuff.pq": "PQ of stuff",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
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
