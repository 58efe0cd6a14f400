"""The training loop of a run: Keras' `fit` with the callbacks that watch, score, log and keep."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.data.dataset import evaluation_examples
from keras_ctxseg.distribution.workers import WorkerLostError, Workers, lost_workers
from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.checkpoint import TrainingState
from keras_ctxseg.runs.checkpoint_history import CheckpointHistory
from keras_ctxseg.runs.config import RunConfig
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.runs.run_directory import RunDirectory
from keras_ctxseg.training.csv_log import CsvLog
from keras_ctxseg.training.divergence import DivergenceGuard, save_batches
from keras_ctxseg.training.preemption import StopRequestedError, StopSignals
from keras_ctxseg.training.progress import Progress
from keras_ctxseg.training.saving import SaveBeforeValidation, Saving
from keras_ctxseg.training.validation import Validation

if TYPE_CHECKING:
    from keras_ctxseg.data import SegmentationDataset, TrainPipeline


@dataclass(frozen=True)
class Fitting:
    """What a run's `fit` works on.

    Args:
        model: compiled, and restored where the run goes on.
        config, dataset, pipeline, plan, workers: of the run.
        state, running_metrics: where it begins.
        history: where its checkpoints go.
        say: takes what a person should know.
        own_callbacks: of the recipe and the caller.
    """

    model: keras.Model
    config: RunConfig
    dataset: SegmentationDataset
    pipeline: TrainPipeline
    plan: Plan
    workers: Workers
    history: CheckpointHistory
    state: TrainingState
    running_metrics: Sequence[np.ndarray] = ()
    say: Callable[[str], None] = print
    own_callbacks: Sequence[keras.callbacks.Callback] = ()

    def __call__(self) -> TrainingState:
        """Trains to the end of the plan.

        Returns:
            The last state, which is saved.

        Raises:
            PreemptedError: after a signal; the run is saved.
            TrainingDivergedError: the loss is no number; what was saved before is kept.
            WorkerLostError: another worker has stopped; what was saved before is kept.
            OSError: a file cannot be written; what was saved before is kept.
        """
        with StopSignals() as signals:
            try:
                return self._fit(signals)
            except OSError as error:
                reason = f"{error.strerror or error}"
                where = f" ({error.filename})" if error.filename else ""
                raise OSError(
                    f"{reason}{where}. The run stopped; its last checkpoint is kept in "
                    f"{self.history.newest.parent}, go on with --resume"
                ) from error
            except tf.errors.OpError as error:
                lost = lost_workers(error) if self.workers.count > 1 else None
                if lost is None:
                    raise
                raise WorkerLostError(
                    f"{lost}, and so does this one: start all workers again. The last checkpoint "
                    f"is kept in {self.history.newest.parent}"
                ) from error

    def _fit(self, signals: StopSignals) -> TrainingState:
        callbacks, saving, close = self._callbacks(signals)
        try:
            if self.state.epoch_logs is not None:
                _end_epoch(self.model, callbacks, self.state, self.plan)
            if saving.saved.epoch < self.plan.epochs and not saving.saved.ended:
                self.model.fit(
                    assembly.batches(self.model, self.pipeline, self.state.step),
                    steps_per_epoch=self.plan.steps_per_epoch,
                    initial_epoch=saving.saved.epoch,
                    epochs=self.plan.epochs,
                    shuffle=False,  # The pipeline does it; True makes Keras warn.
                    callbacks=callbacks,
                    verbose=self._verbosity(),
                )
            else:
                for callback in self.own_callbacks:
                    callback.on_train_end()
        except StopRequestedError:
            saving.save_unvalidated()
            raise saving.preempted() from None
        finally:
            close()
        return saving.saved

    def _callbacks(self, signals: StopSignals) -> tuple[list, Saving, Callable[[], None]]:
        from keras_ctxseg.training.event_file import EventFile
        from keras_ctxseg.training.tensorboard import Overlays, ScalarLog

        config, training, plan = self.config, self.config.training, self.plan
        directory = RunDirectory(config.directory)
        split = config.data.validation_split
        examples = evaluation_examples(self.dataset, split, config.data.image_scale)
        evaluator = assembly.build_evaluator(config, self.model, self.dataset, in_training=True)
        alone = self.workers.count == 1
        validation = Validation(
            # Several workers have to stop together: they finish the validation first.
            lambda: evaluator(signals.ending(examples) if alone else examples),
            directory,
            plan,
            training.validate_every,
            self.state.best_mean_iou,
            keeps_files=self.workers.is_chief,
        )
        progress = Progress(
            plan, self.state, self.running_metrics, config.augmentation.crop_size, self.say
        )
        guard = DivergenceGuard(
            progress,
            functools.partial(save_batches, self.pipeline, directory=directory.diverged),
            directory.checkpoints,
            self.workers,
        )
        saving = Saving(
            self.history,
            progress,
            validation,
            guard,
            signals,
            self.workers,
            training.save_every_steps,
            training.save_every_minutes,
            self.own_callbacks,
            self.state.callbacks,
        )
        logs: list[keras.callbacks.Callback] = []
        close: Callable[[], Any] = lambda: None  # noqa: E731
        if self.workers.is_chief:
            events = EventFile(directory.tensorboard, self.state.step + 1)
            count, size = training.overlay_images, self.dataset.splits[split]
            validation.on_validated = Overlays(
                events, evaluator, self.dataset.palette, examples, count, size
            )
            logs = [CsvLog(directory.log, self.state.epoch), ScalarLog(events, plan.step_after)]
            close = events.close
        before = SaveBeforeValidation(saving)
        # Own callbacks see the scores of the validation, and what they add to the logs is written.
        # The guard comes before them: a loss that is no number ends the run whatever they do.
        callbacks = [progress, guard, before, validation, *self.own_callbacks, *logs, saving]
        return callbacks, saving, close

    def _verbosity(self) -> int:
        if not self.workers.is_chief:
            return 0
        return 1 if sys.stdout.isatty() else 2  # A bar needs a terminal; a file gets a line.


def _end_epoch(model: keras.Model, callbacks: list, state: TrainingState, plan: Plan) -> None:
    """Does what is left of an epoch whose steps are all taken: validate, log, save."""
    params = {"epochs": plan.epochs, "steps": plan.steps_per_epoch, "verbose": 0}
    listed = keras.callbacks.CallbackList(callbacks, model=model, **params)
    for callback in callbacks:  # The list would start threads for steps, of which there are none.
        callback.on_train_begin()
    listed.on_epoch_begin(state.epoch)
    listed.on_epoch_end(state.epoch, dict(state.epoch_logs or {}))
