"""The end of an epoch: validate with the averaged weights, and keep the best."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import keras

from keras_ctxseg.runs.checkpoint import TrainingState, save_checkpoint
from keras_ctxseg.training.selection import score_of
from keras_ctxseg.training.session import Session

if TYPE_CHECKING:
    from keras_ctxseg.evaluation import EvaluationResult


class Validation(keras.callbacks.Callback):
    """Adds validation scores to the logs and keeps the best weights in `best.keras`.

    Uses the averaged weights where the optimizer averages. Must come before the callbacks that read
    the logs.

    Args:
        session: the run.
        evaluate: returns the current model's `EvaluationResult` on the validation split.
        on_validated: called with (epoch, step) while the validated weights are in the model.
    """

    def __init__(
        self,
        session: Session,
        evaluate: Callable[[], EvaluationResult],
        on_validated: Callable[[int, int], None] | None = None,
    ):
        super().__init__()
        self.session = session
        self.evaluate = evaluate
        self.on_validated = on_validated

    def on_epoch_end(self, epoch, logs=None):
        session = self.session
        logs = {} if logs is None else logs
        if not session.validates_after(epoch):
            return
        step = session.plan.step_after(epoch)
        with averaged_weights(self.model):
            result = self.evaluate()
            logs.update({f"val_{name}": score_of(result, name) for name in session.scores})
            if session.note_scores(logs) and session.workers.is_chief:
                state = replace(
                    TrainingState(epoch + 1, step),
                    best_mean_iou=session.state.best_mean_iou,
                    best_score=session.state.best_score,
                    best_score_name=session.state.best_score_name,
                )
                save_checkpoint(self.model, session.directory.best, state)
            if self.on_validated is not None:
                self.on_validated(epoch, step)


def averages_of(optimizer) -> list | None:
    """The optimizer's moving averages, one per trainable variable; None where it keeps none."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # Under float16's loss scaling.
    if not getattr(optimizer, "use_ema", False) or not optimizer.built:
        return None
    if int(keras.ops.convert_to_numpy(optimizer.iterations)) == 0:  # They are still zero.
        return None
    return optimizer._model_variables_moving_average


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the moving averages into the model for the duration of a `with` block.

    The averages in the optimizer stay as they are, so a checkpoint written inside the block holds
    the averages in both places. Only trainable variables are averaged: batch norm's moving mean and
    variance, averages already, remain the current ones. Without EMA the block changes nothing.
    """
    averages = averages_of(model.optimizer)
    if averages is None:
        yield
        return
    raw = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, raw, strict=True):
            variable.assign(value)
