"""The turn at the end of each epoch: validate, keep the best weights, keep the newest state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras

from keras_ctxseg.training.averaging import averaged_weights
from keras_ctxseg.training.checkpoint import TrainingState, save_checkpoint
from keras_ctxseg.training.plan import Plan
from keras_ctxseg.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from keras_ctxseg.evaluation import EvaluationResult


class TrainingDivergedError(ValueError):
    """The loss is no number any more; the message names the likely causes."""


class Validation(keras.callbacks.Callback):
    """Adds validation scores to the logs and keeps the best weights in `best.keras`.

    Uses the averaged weights where the optimizer averages. Stands before the callbacks that read
    the logs. Refuses to go on from a loss that is no number.

    Args:
        evaluate: returns the current model's `EvaluationResult` on the validation split.
        directory: where the checkpoint goes.
        plan: how long the run is.
        every: epochs between two validations; the last epoch always validates.
        best_mean_iou: the best so far, of a run that is resumed.
        on_validated: called with (epoch, step) while the validated weights are in the model.
    """

    def __init__(
        self,
        evaluate: Callable[[], EvaluationResult],
        directory: RunDirectory,
        plan: Plan,
        every: int = 1,
        best_mean_iou: float | None = None,
        on_validated: Callable[[int, int], None] | None = None,
    ):
        super().__init__()
        self.evaluate = evaluate
        self.directory = directory
        self.plan = plan
        self.every = every
        self.best_mean_iou = best_mean_iou
        self.on_validated = on_validated

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        self._refuse_divergence(epoch, logs)
        if (epoch + 1) % self.every != 0 and epoch + 1 != self.plan.epochs:
            return
        step = self.plan.step_after(epoch)
        with averaged_weights(self.model):
            scores = self.evaluate().scores
            logs["val_mean_iou"] = float(scores.mean_iou)
            logs["val_pixel_accuracy"] = float(scores.pixel_accuracy)
            if self.best_mean_iou is None or scores.mean_iou > self.best_mean_iou:
                self.best_mean_iou = float(scores.mean_iou)
                state = TrainingState(epoch + 1, step, self.best_mean_iou)
                save_checkpoint(self.model, self.directory.best, state)
            if self.on_validated is not None:
                self.on_validated(epoch, step)

    def _refuse_divergence(self, epoch: int, logs: dict) -> None:
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss became {loss} in epoch {epoch + 1}. Likely causes: "
                f"`training.learning_rate` is too high, or labels lie outside the classes. "
                f"Checkpoints up to epoch {epoch} are kept in {self.directory.checkpoints}"
            )


class SaveLast(keras.callbacks.Callback):
    """Keeps the raw weights and the optimizer in `last.keras`, from which a run goes on.

    Stands after the logs: a run that is killed in between repeats the epoch, and its log row.
    """

    def __init__(self, directory: RunDirectory, plan: Plan, validation: Validation):
        super().__init__()
        self.directory = directory
        self.plan = plan
        self.validation = validation
        self.state: TrainingState | None = None

    def on_epoch_end(self, epoch, logs=None):
        step = self.plan.step_after(epoch)
        self.state = TrainingState(epoch + 1, step, self.validation.best_mean_iou)
        save_checkpoint(self.model, self.directory.last, self.state)


class LearningRateLog(keras.callbacks.Callback):
    """Adds the `learning_rate` of each epoch's first step to its logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self._rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = self._rate


class StopAfterSteps(keras.callbacks.Callback):
    """Ends the run inside its last epoch, once the plan's steps are taken."""

    def __init__(self, plan: Plan):
        super().__init__()
        self.plan = plan
        self._steps_before = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._steps_before = epoch * self.plan.steps_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._steps_before + batch + 1 >= self.plan.total_steps:
            self.model.stop_training = True
