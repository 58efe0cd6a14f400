"""Which validation score chooses the best weights and ends a run early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras

from keras_ctxseg._naming import nearest
from keras_ctxseg.runs.config import ConfigError, TrainingConfig

if TYPE_CHECKING:
    from keras_ctxseg.evaluation import EvaluationResult

MEANS = (
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "mean_precision",
    "mean_f1",
    "frequency_weighted_iou",
)
PANOPTIC = "panoptic_quality"
BY_CLASS = ("iou", "f1", "precision", "accuracy")


def score_of(result: EvaluationResult, name: str) -> float:
    """A score in 0 ... 1 by its name; NaN where the split does not show it."""
    if name == PANOPTIC and result.panoptic is not None:
        return float(result.panoptic.all.pq)
    if name in MEANS:
        return float(getattr(result.scores, name))
    kind, _, class_name = name.partition(".")
    values = getattr(result.scores, f"per_class_{kind}")
    return float(values[list(result.class_names).index(class_name)])


def check_scores(training: TrainingConfig, class_names: Sequence[str], panoptic: bool) -> None:
    """Raises ConfigError for a score that a recipe names and the validation does not find."""
    names = {"training.best_score": training.best_score}
    if training.early_stopping is not None:
        names["training.early_stopping.score"] = training.early_stopping.score
    known = [*MEANS, *([PANOPTIC] if panoptic else [])]
    by_class = [f"{kind}.{name}" for kind in BY_CLASS for name in class_names]
    for key, name in names.items():
        if name not in known and name not in by_class:
            raise ConfigError(
                f"`{key}`: expected one of {known}, or {', '.join(BY_CLASS)} of a class, such as "
                f"{by_class[0]}. Received: {name!r}.{nearest(name, [*known, *by_class])}"
            )


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' own, silent in epochs that are not validated, and with NaN below all other scores.

    Args:
        score: name of the validation score.
        patience: validations in a row without a better score.
        min_delta: what counts as better.
    """

    def __init__(self, score: str, patience: int, min_delta: float):
        super().__init__(
            monitor=f"val_{score}", patience=patience, min_delta=min_delta, mode="max", verbose=1
        )

    def get_monitor_value(self, logs):
        score = (logs or {}).get(self.monitor)
        # Keras would keep a NaN as the best: nothing compares as better than it.
        return -1.0 if score is not None and math.isnan(score) else score
