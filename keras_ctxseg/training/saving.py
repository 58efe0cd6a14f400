"""Keeps the newest state of the run, at every epoch's end and inside epochs, and ends on a signal.

Everything happens where a step begins: what came before is done, and no thread of Keras' callbacks
stands between.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ctxseg.distribution.collectives import agree_on_statistics
from keras_ctxseg.distribution.workers import Workers
from keras_ctxseg.runs.checkpoint import TrainingState
from keras_ctxseg.runs.checkpoint_history import CheckpointHistory
from keras_ctxseg.training.callback_states import CallbackStates
from keras_ctxseg.training.divergence import DivergenceGuard
from keras_ctxseg.training.preemption import PreemptedError, StopSignals
from keras_ctxseg.training.progress import Progress, metric_values
from keras_ctxseg.training.validation import Validation


class Saving(keras.callbacks.Callback):
    """Writes `last.keras`: raw weights, optimizer, and how far the run is.

    Stands last: a run that is killed while an epoch is logged repeats the logging.

    Args:
        history: where the checkpoints go.
        progress: knows the step.
        validation: knows the best score.
        guard: refuses what is no number.
        signals: tells when to stop.
        workers: those of several that keep no files still ask for the metrics, which are summed
            over all; and all stop at the same step, whichever got the signal.
        every_steps, every_minutes: when to save inside an epoch, or None.
        callbacks: those of the recipe and the caller, whose states are kept.
        kept: their states in the checkpoint that the run goes on from.
    """

    def __init__(
        self,
        history: CheckpointHistory,
        progress: Progress,
        validation: Validation,
        guard: DivergenceGuard,
        signals: StopSignals,
        workers: Workers,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        kept: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.history = history
        self.progress = progress
        self.validation = validation
        self.guard = guard
        self.signals = signals
        self.workers = workers
        self.every_steps = every_steps
        self.every_seconds = None if every_minutes is None else 60 * every_minutes
        self.states = CallbackStates(callbacks)
        self.saved: TrainingState = replace(
            progress.state(validation.best_mean_iou), callbacks=dict(kept or {})
        )
        self.epoch_logs: dict[str, float] = {}
        self._saved_at = time.monotonic()

    def on_train_begin(self, logs=None):
        self.states.restore(self.saved.callbacks)  # After their own `on_train_begin`.

    def on_train_batch_begin(self, batch, logs=None):
        wishes = [self.signals.received is not None, self._due(), self.guard.found]
        stop, due, diverged = self.workers.largest(wishes)
        if diverged:
            self.guard.fail()
        if (stop or due) and self.progress.step != self.saved.step:
            self._save(self.progress.state(self.validation.best_mean_iou))
        if stop:
            raise self.preempted()

    def on_epoch_end(self, epoch, logs=None):
        self.progress.finish_epoch()
        # A callback may end the run on one worker alone.
        ended = bool(self.workers.largest([self.model.stop_training])[0])
        self.model.stop_training = ended
        self._save(replace(self.progress.state(self.validation.best_mean_iou), ended=ended))

    def save_unvalidated(self) -> None:
        """Saves an epoch whose steps are taken, but that is not validated and logged."""
        if self.progress.step != self.saved.step:
            self._save(self.progress.state(self.validation.best_mean_iou, self.epoch_logs))

    def preempted(self) -> PreemptedError:
        """The error that ends the run, once it is saved."""
        name = "another worker's signal"
        if self.signals.received is not None:
            name = self.signals.received.name
        path = self.history.newest
        kept = f"saved in {path}" if path.exists() else "nothing to save yet"
        return PreemptedError(f"{name}: stopped after step {self.saved.step}, {kept}", self.saved)

    def _due(self) -> bool:
        steps, saved = self.progress.step, self.saved.step
        if self.every_steps is not None and steps // self.every_steps > saved // self.every_steps:
            return True
        if self.every_seconds is None or not self.workers.is_chief:
            return False
        return time.monotonic() - self._saved_at >= self.every_seconds

    def _save(self, state: TrainingState) -> None:
        # One replica's averages are saved. As averaging is linear, to do it early changes nothing.
        agree_on_statistics(self.model)
        running = metric_values(self.model) if state.step_in_epoch else []
        if not (_is_finite(self.model) and all(np.all(np.isfinite(array)) for array in running)):
            self.guard.fail("a weight became no number")
        state = replace(state, callbacks=self.states.read())
        if self.workers.is_chief:
            self.history.save(self.model, state, running)
        self.saved = state
        self._saved_at = time.monotonic()


class SaveBeforeValidation(keras.callbacks.Callback):
    """Saves the epoch's steps before a validation, which takes long and may be cut off.

    Does so where the run saves inside epochs anyway, or a signal waits. Stands before `Validation`.
    """

    def __init__(self, saving: Saving):
        super().__init__()
        self.saving = saving

    def on_epoch_end(self, epoch, logs=None):
        saving = self.saving
        saving.epoch_logs = dict(logs or {})
        if not saving.validation.is_due(epoch):
            return
        stop = saving.workers.count == 1 and saving.signals.received is not None
        if stop or saving.every_steps is not None or saving.every_seconds is not None:
            saving.save_unvalidated()
        if stop:
            raise saving.preempted()


def _is_finite(model: keras.Model) -> bool:
    """Whether all weights and all that the optimizer remembers of gradients are numbers."""
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    for variable in (*model.variables, *inner.variables):
        if "float" in keras.backend.standardize_dtype(variable.dtype) and not np.all(
            np.isfinite(keras.ops.convert_to_numpy(variable).astype("float32"))
        ):
            return False
    return True
