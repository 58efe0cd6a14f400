"""The end of an epoch: validate with the averaged weights, and keep the best."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import keras

from keras_ctxseg.runs.checkpoint import TrainingState, save_checkpoint
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    from keras_ctxseg.evaluation import EvaluationResult


class Validation(keras.callbacks.Callback):
    """Adds validation scores to the logs and keeps the best weights in `best.keras`.

    Uses the averaged weights where the optimizer averages. Stands before the callbacks that read
    the logs.

    Args:
        evaluate: returns the current model's `EvaluationResult` on the validation split.
        directory: where the checkpoint goes.
        plan: how long the run is.
        every: epochs between two validations; the last epoch always validates.
        best_mean_iou: the best so far, of a run that is resumed.
        on_validated: called with (epoch, step) while the validated weights are in the model.
        keeps_files: whether this process writes `best.keras`; with several workers one does.
    """

    def __init__(
        self,
        evaluate: Callable[[], EvaluationResult],
        directory: RunDirectory,
        plan: Plan,
        every: int = 1,
        best_mean_iou: float | None = None,
        on_validated: Callable[[int, int], None] | None = None,
        keeps_files: bool = True,
    ):
        super().__init__()
        self.evaluate = evaluate
        self.directory = directory
        self.plan = plan
        self.every = every
        self.best_mean_iou = best_mean_iou
        self.on_validated = on_validated
        self.keeps_files = keeps_files

    def is_due(self, epoch: int) -> bool:
        """Whether the 0-based `epoch` ends with a validation."""
        return (epoch + 1) % self.every == 0 or epoch + 1 == self.plan.epochs

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if not self.is_due(epoch):
            return
        step = self.plan.step_after(epoch)
        with averaged_weights(self.model):
            result = self.evaluate()
            scores = result.scores
            logs["val_mean_iou"] = float(scores.mean_iou)
            logs["val_pixel_accuracy"] = float(scores.pixel_accuracy)
            if result.panoptic is not None:
                logs["val_panoptic_quality"] = result.panoptic.all.pq
            if self.best_mean_iou is None or scores.mean_iou > self.best_mean_iou:
                self.best_mean_iou = float(scores.mean_iou)
                state = TrainingState(epoch + 1, step, self.best_mean_iou)
                if self.keeps_files:
                    save_checkpoint(self.model, self.directory.best, state)
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
