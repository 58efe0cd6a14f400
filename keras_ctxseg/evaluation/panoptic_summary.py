"""Panoptic quality as text and as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras_ctxseg.metrics.panoptic_quality import PanopticQuality, PanopticScores

GROUPS = ("all", "things", "stuff")


def panoptic_table(scores: PanopticScores, class_names: Sequence[str]) -> str:
    """A line for each class and each average: quality in percent, segments matched and not."""
    width = max(*map(len, class_names), len("things"))
    head = f"{'PQ':>6}  {'SQ':>6}  {'RQ':>6}  {'matched':>8}  {'missed':>7}  {'invented':>8}"
    lines = [f"{'segments':{width}}  {head}"]
    counts = scores.counts
    for k, name in enumerate(class_names):
        shares = (scores.per_class_pq[k], scores.per_class_sq[k], scores.per_class_rq[k])
        figures = "  ".join(f"{_percent(value):>6}" for value in shares)
        numbers = f"{counts.matched[k]:>8}  {counts.missed[k]:>7}  {counts.invented[k]:>8}"
        lines.append(f"{name:{width}}  {figures}  {numbers}")
    lines.append("-" * len(lines[0]))
    for group in GROUPS:
        quality = getattr(scores, group)
        shares = (quality.pq, quality.sq, quality.rq)
        figures = "  ".join(f"{_percent(value):>6}" for value in shares)
        lines.append(f"{group:{width}}  {figures}  {quality.classes:>8} classes")
    return "\n".join(lines)


def panoptic_to_dict(scores: PanopticScores, class_names: Sequence[str]) -> dict[str, Any]:
    """Plain Python values; NaN where a class has no segment."""
    counts = scores.counts
    return {
        **{group: _averages(getattr(scores, group)) for group in GROUPS},
        "classes": [
            {
                "id": k,
                "name": name,
                "is_thing": k in scores.thing_classes,
                "pq": float(scores.per_class_pq[k]),
                "sq": float(scores.per_class_sq[k]),
                "rq": float(scores.per_class_rq[k]),
                "iou": float(counts.iou[k]),
                "matched": int(counts.matched[k]),
                "missed": int(counts.missed[k]),
                "invented": int(counts.invented[k]),
            }
            for k, name in enumerate(class_names)
        ],
    }


def _averages(quality: PanopticQuality) -> dict[str, Any]:
    return {
        "pq": quality.pq,
        "sq": quality.sq,
        "rq": quality.rq,
        "classes": quality.classes,
    }


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"
