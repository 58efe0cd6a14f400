"""A run while it trains: its parts, its position, and the position that is saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.distribution.workers import Workers
from keras_ctxseg.labels.panoptic import is_panoptic
from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.checkpoint import (
    TrainingState,
    read_running_metrics,
    remove_partial_checkpoints,
)
from keras_ctxseg.runs.checkpoint_history import CheckpointHistory
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.runs.run_directory import RunDirectory
from keras_ctxseg.training.callback_states import CallbackStates
from keras_ctxseg.training.compilation import compile_arguments
from keras_ctxseg.training.preemption import PreemptedError, StopSignals
from keras_ctxseg.training.selection import PANOPTIC, check_scores


class Session:
    """What all callbacks of a run share.

    Args:
        config: the run.
        strategy: where it trains.
        callbacks: of the recipe and the caller.
        say: takes lines for a person; on several workers, only the chief's.

    Attributes:
        directory, dataset, pipeline, plan, workers: of the run.
        model: compiled.
        state: the run's position. `Progress`, `Validation` and `Saving` move it on.
        saved: the position in the newest checkpoint, or the one that the run began with.
        saved_at: `time.monotonic()` of that.
        first_step: step number at which this process entered the current epoch.
        running_metrics: sums of the metrics of an epoch that another process began.
        bad_loss: batch, counted by this process in the epoch, and value of the first loss that is
            NaN or infinite.
        signals: active during `fit`.
        scores: names of the validation scores that the logs show.
    """

    state: TrainingState
    saved: TrainingState

    def __init__(
        self,
        config: RunConfig,
        strategy: tf.distribute.Strategy,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        say: Callable[[str], None] = print,
    ):
        self.config = config
        self.callbacks = list(callbacks)
        self.directory = RunDirectory(config.directory)
        self.history = CheckpointHistory(self.directory.last, config.training.keep_checkpoints)
        self.dataset = assembly.load_dataset(config)
        self.pipeline = assembly.build_pipeline(config, self.dataset)
        self.plan = Plan.of(config.training, self.pipeline.steps_per_epoch)
        with strategy.scope():
            self.model = self._build_model()
        self.scores = self._score_names()
        self.workers = Workers(self.model.distribute_strategy)
        self.say = say if self.workers.is_chief else _silent
        self.callback_states = CallbackStates(self.callbacks)
        self.signals = StopSignals()
        self.bad_loss: tuple[int, float] | None = None
        self._begin_at(TrainingState(epoch=0, step=0))

    def begin(self, resume: bool) -> None:
        """Restores the newest whole checkpoint if `resume`, and describes the run in its folder.

        Raises:
            ConfigError: workers that see different checkpoints.
            CheckpointError: checkpoints that cannot be read or belong to another network.
        """
        if self.workers.is_chief:
            for leftover in remove_partial_checkpoints(self.directory.checkpoints):
                self.say(f"Removed {leftover}, left by a save that was cut off.")
        if resume:
            for change in self.directory.changes(self.config):
                self.say(f"Changed since the run began: {change}")
            with self.model.distribute_strategy.scope():  # Builds the optimizer's variables.
                restored = self.history.restore(self.model, self.say)
            if restored is None:
                self.say(f"There is no checkpoint in {self.directory.checkpoints}: the run begins.")
            else:
                state, path = restored
                self._begin_at(state, read_running_metrics(path))
        steps = self.workers.gather([self.state.step])[:, 0].astype(int).tolist()
        if len(set(steps)) > 1:
            raise ConfigError(
                f"`output_dir`: expected one folder that all workers see. The workers found "
                f"checkpoints of different steps in {self.config.output_dir}: {steps}"
            )
        if self.workers.is_chief:
            self.directory.describe(self.config, self.dataset)

    def begin_epoch(self) -> None:
        """Notes the learning rate, unless the epoch began in an earlier process."""
        if self.state.learning_rate is None:
            rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
            self.state = replace(self.state, learning_rate=float(rate))

    def count(self, batches: int) -> None:
        """Moves on to the step after the `batches` that this process has taken in the epoch."""
        step = self.first_step + batches
        in_epoch = self.state.step_in_epoch + step - self.state.step
        self.state = replace(self.state, step=step, step_in_epoch=in_epoch)

    def finish_epoch(self, ended: bool) -> None:
        """Moves on to the next epoch.

        Args:
            ended: whether a callback ends the run here.
        """
        self.state = replace(
            self.state,
            epoch=self.state.epoch + 1,
            step_in_epoch=0,
            learning_rate=None,
            epoch_logs=None,
            ended=ended,
        )
        self.first_step = self.state.step

    def validates_after(self, epoch: int) -> bool:
        """Whether the 0-based `epoch` ends with a validation; the last one always does."""
        every = self.config.training.validate_every
        return (epoch + 1) % every == 0 or epoch + 1 == self.plan.epochs

    def note_scores(self, logs: Mapping[str, float]) -> bool:
        """Keeps the best scores so far; whether the one that chooses `best.keras` is a new best.

        Scores are NaN, and never best, where the split shows nothing that they count.
        """
        name, state = self.config.training.best_score, self.state
        mean_iou, score = logs["val_mean_iou"], logs[f"val_{name}"]
        if mean_iou > _or_below_all(state.best_mean_iou):
            state = replace(state, best_mean_iou=mean_iou)
        best = state.best_score if state.best_score_name == name else None
        if best is None and name == "mean_iou":  # Of a checkpoint without `best_score`.
            best = self.state.best_mean_iou
        better = score > _or_below_all(best)
        if better:
            best = score
        self.state = replace(state, best_score=best, best_score_name=name)
        return better

    def note_saved(self, state: TrainingState) -> None:
        self.saved, self.saved_at = state, time.monotonic()

    def preempted(self) -> PreemptedError:
        """The error that ends the run after a signal, once it is saved."""
        received = self.signals.received
        name = "another worker's signal" if received is None else received.name
        path = self.history.newest
        kept = f"saved in {path}" if path.exists() else "nothing to save yet"
        return PreemptedError(f"{name}: stopped after step {self.saved.step}, {kept}", self.saved)

    def _begin_at(self, state: TrainingState, running_metrics: Sequence[np.ndarray] = ()) -> None:
        self.state = state
        self.first_step = state.step
        self.running_metrics = list(running_metrics)
        self.note_saved(state)

    def _score_names(self) -> list[str]:
        training = self.config.training
        panoptic = is_panoptic(self.model.output)
        check_scores(training, self.dataset.class_names, panoptic)
        names = ["mean_iou", "pixel_accuracy", *([PANOPTIC] if panoptic else [])]
        names.append(training.best_score)
        if training.early_stopping is not None:
            names.append(training.early_stopping.score)
        return list(dict.fromkeys(names))

    def _build_model(self) -> keras.Model:
        config = self.config
        if self.history.paths():  # The weights that the run began with may be gone by now.
            config = replace(config, model=replace(config.model, weights=None))
        model = assembly.build_model(config, self.dataset.num_classes, self.dataset.channels)
        assembly.check_panoptic(model, self.dataset)
        arguments = compile_arguments(
            model, config.training, self.dataset.ignore_label, self.plan.total_steps
        )
        model.compile(**arguments)
        return model


def _or_below_all(score: float | None) -> float:
    return -1.0 if score is None else score


def _silent(line: str) -> None:
    pass
