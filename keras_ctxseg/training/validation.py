"""The turn at the end of each epoch: validate, keep the best weights, keep the newest state."""

import math
from collections.abc import Callable
from typing import Any

import keras

from keras_ctxseg.training.averaging import averaged_weights
from keras_ctxseg.training.checkpoint import TrainingState, save_checkpoint
from keras_ctxseg.training.run_directory import RunDirectory


class TrainingDiverged(ValueError):
    """The loss is no number any more; the message names the likely causes."""


class ValidateAndSave(keras.callbacks.Callback):
    """Adds validation scores to the logs and writes `best.keras` and `last.keras`.

    Validation and the best checkpoint use the averaged weights where the optimizer averages; the last
    checkpoint holds the raw ones, so that training goes on from it as if it had never stopped.
    It must stand before callbacks that read the logs.

    Args:
        evaluate: returns the current model's `EvaluationResult` on the validation split.
        directory: where the checkpoints go.
        state: where the run starts.
        epochs: epochs in the whole run.
        step_after: optimizer steps taken once a 0-based epoch is over.
        every: epochs between two validations.
        on_validated: called with (epoch, step) while the validated weights are in the model.
    """

    def __init__(
        self,
        evaluate: Callable[[], Any],
        directory: RunDirectory,
        state: TrainingState,
        epochs: int,
        step_after: Callable[[int], int],
        every: int = 1,
        on_validated: Callable[[int, int], None] | None = None,
    ):
        super().__init__()
        self.evaluate = evaluate
        self.directory = directory
        self.state = state
        self.epochs = epochs
        self.step_after = step_after
        self.every = every
        self.on_validated = on_validated
        self.last_result = None

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        self._refuse_divergence(epoch, logs)
        step = self.step_after(epoch)
        best = self.state.best_mean_iou
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.epochs:
            with averaged_weights(self.model):
                self.last_result = self.evaluate()
                mean_iou = float(self.last_result.scores.mean_iou)
                logs["val_mean_iou"] = mean_iou
                logs["val_pixel_accuracy"] = float(self.last_result.scores.pixel_accuracy)
                if best is None or mean_iou > best or not self.directory.best.exists():
                    best = mean_iou
                    state = TrainingState(epoch + 1, step, best)
                    save_checkpoint(self.model, self.directory.best, state)
                if self.on_validated is not None:
                    self.on_validated(epoch, step)
        self.state = TrainingState(epoch + 1, step, best)
        save_checkpoint(self.model, self.directory.last, self.state)

    def _refuse_divergence(self, epoch: int, logs: dict) -> None:
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss became {loss} in epoch {epoch + 1}. Likely causes: `training.learning_rate` is "
                f"too high, or labels lie outside the classes. Checkpoints up to epoch {epoch} are kept in "
                f"{self.directory.checkpoints}"
            )


class LearningRateLog(keras.callbacks.Callback):
    """Adds the optimizer's current `learning_rate` to the logs of each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(
                keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
            )


class StopAfterSteps(keras.callbacks.Callback):
    """Ends the run inside its last epoch, once `total_steps` steps are taken in all."""

    def __init__(self, total_steps: int, steps_per_epoch: int):
        super().__init__()
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self._steps_before = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._steps_before = epoch * self.steps_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._steps_before + batch + 1 >= self.total_steps:
            self.model.stop_training = True
