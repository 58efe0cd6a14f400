"""The images that a report shows: the worst and the best, with truth and prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ctxseg.evaluation.evaluator import Evaluator
from keras_ctxseg.evaluation.result import EvaluationResult, ImageScore
from keras_ctxseg.evaluation.size_batches import example_name
from keras_ctxseg.labels.panoptic import class_ids


@dataclass(frozen=True)
class ReportSample:
    """One image with its label map and its prediction.

    Attributes:
        score: the image's scores.
        image: (image_height, image_width, 3) uint8 RGB, as the model saw it.
        label: (height, width) int32 class ids.
        prediction: (height, width) int32 class ids.
        true_segments, segments: (height, width) int32 panoptic label maps, where instances are
            told apart.
    """

    score: ImageScore
    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    true_segments: np.ndarray | None = None
    segments: np.ndarray | None = None


def report_samples(
    evaluator: Evaluator,
    examples: Iterable[Mapping[str, Any]],
    result: EvaluationResult,
    count: int = 6,
) -> tuple[list[ReportSample], list[ReportSample]]:
    """Predicts the worst and the best images again, for a report.

    Args:
        evaluator: what made `result`.
        examples: the same examples; they are read once more.
        result: of the evaluation.
        count: how many images of each kind. No image is in both lists: of a small set, the worst
            half at most is worst.

    Returns:
        `(worst, best)`: the worst ones worst first, the best ones best first.
    """
    ranked = result.ranked()
    worst = ranked[: min(count, (len(ranked) + 1) // 2)]
    best = ranked[::-1][: min(count, len(ranked) // 2)]
    wanted = {score.name: score for score in worst + best}
    found: dict[str, ReportSample] = {}
    for raw in examples:
        name = example_name(raw)
        if name not in wanted or name in found:
            continue
        image = np.asarray(raw["image"], np.float32)
        given = np.asarray(raw["label"], np.int32)
        label = class_ids(given)
        prediction = evaluator.predict(image, label.shape, name)
        shown = np.clip(np.round(image), 0, 255).astype(np.uint8)
        instances = {}
        if evaluator.thing_classes:
            instances["true_segments"] = given
            instances["segments"] = evaluator.predict_segments(image, label.shape, name)
        found[name] = ReportSample(wanted[name], shown, label, prediction, **instances)
        if len(found) == len(wanted):
            break
    return (
        [found[score.name] for score in worst if score.name in found],
        [found[score.name] for score in best if score.name in found],
    )
