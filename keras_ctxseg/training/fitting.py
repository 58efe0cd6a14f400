"""The training loop of a run: Keras' `fit` with the callbacks that watch, score, log and keep."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import keras
import tensorflow as tf

from keras_ctxseg.data.dataset import evaluation_examples
from keras_ctxseg.distribution.workers import WorkerLostError, lost_workers
from keras_ctxseg.runs import assembly
from keras_ctxseg.training.csv_log import CsvLog
from keras_ctxseg.training.divergence import DivergenceGuard
from keras_ctxseg.training.preemption import StopRequestedError
from keras_ctxseg.training.progress import Progress, check_place
from keras_ctxseg.training.saving import SaveBeforeValidation, Saving, save_if_moved
from keras_ctxseg.training.session import Session
from keras_ctxseg.training.validation import Validation


def fit(session: Session) -> None:
    """Trains to the end of the plan; `session.saved` is then the last state.

    Raises:
        PreemptedError: after a signal; the run is saved.
        TrainingDivergedError: the loss is NaN or infinite; what was saved before is kept.
        WorkerLostError: another worker has stopped; what was saved before is kept.
        OSError: a file cannot be written; what was saved before is kept.
    """
    checkpoints = session.directory.checkpoints
    with session.signals:
        try:
            _fit(session)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise OSError(
                f"{error.strerror or error}{where}. The run stopped; its last checkpoint is kept "
                f"in {checkpoints}, go on with --resume"
            ) from error
        except tf.errors.OpError as error:
            lost = lost_workers(error) if session.workers.count > 1 else None
            if lost is None:
                raise
            raise WorkerLostError(
                f"{lost}, and so does this one: start all workers again. The last checkpoint is "
                f"kept in {checkpoints}"
            ) from error


def _fit(session: Session) -> None:
    check_place(session.plan, session.state)
    session.state = replace(session.state, ended=False)
    session.note_saved(session.state)
    callbacks, close_logs = _callbacks(session)
    try:
        if session.state.epoch_logs is not None:
            _end_epoch(session, callbacks)
        if session.saved.epoch < session.plan.epochs and not session.saved.ended:
            session.model.fit(
                assembly.batches(session.model, session.pipeline, session.state.step),
                steps_per_epoch=session.plan.steps_per_epoch,
                initial_epoch=session.state.epoch,
                epochs=session.plan.epochs,
                shuffle=False,  # The pipeline does it; True makes Keras warn.
                callbacks=callbacks,
                verbose=_verbosity(session),
            )
        else:
            for callback in session.callbacks:
                callback.on_train_end()
    except StopRequestedError:
        save_if_moved(session)
        raise session.preempted() from None
    finally:
        close_logs()


def _callbacks(
    session: Session,
) -> tuple[list[keras.callbacks.Callback], Callable[[], None]]:
    """The callbacks of `fit`, in order, and a function that closes their files."""
    evaluator = assembly.build_evaluator(
        session.config, session.model, session.dataset, in_training=True
    )
    split, scale = session.config.data.validation_split, session.config.data.image_scale
    examples = evaluation_examples(session.dataset, split, scale)

    def evaluate():
        # Several workers have to stop together: they finish the validation first.
        alone = session.workers.count == 1
        return evaluator(session.signals.ending(examples) if alone else examples)

    logs, draw, close = _logs(session, evaluator, examples)
    callbacks = [
        Progress(session),
        DivergenceGuard(session),  # Before others, which a NaN might mislead.
        SaveBeforeValidation(session),
        Validation(session, evaluate, draw),
        *session.callbacks,  # They see the scores, and what they add to the logs is written.
        *logs,
        Saving(session),
    ]
    return callbacks, close


def _logs(session: Session, evaluator, examples):
    """The callbacks that log, one that draws validation images, and one that closes their files."""
    if not session.workers.is_chief:
        return [], None, lambda: None
    from keras_ctxseg.training.event_file import EventFile
    from keras_ctxseg.training.tensorboard import Overlays, ScalarLog

    events = EventFile(session.directory.tensorboard, session.state.step + 1)
    count = session.config.training.overlay_images
    size = session.dataset.splits[session.config.data.validation_split]
    overlays = Overlays(
        events, evaluator, session.dataset.palette, examples, count, size,
        session.dataset.reading.show,
    )  # fmt: skip
    csv_log = CsvLog(session.directory.log, session.state.epoch)
    return [csv_log, ScalarLog(events, session.plan.step_after)], overlays, events.close


def _verbosity(session: Session) -> int:
    if not session.workers.is_chief:
        return 0
    return 1 if sys.stdout.isatty() else 2  # A bar needs a terminal; a file gets a line.


def _end_epoch(session: Session, callbacks: list) -> None:
    """Does what is left of an epoch whose steps are all taken: validate, log, save."""
    epoch, logs = session.state.epoch, dict(session.state.epoch_logs or {})
    params = {"epochs": session.plan.epochs, "steps": session.plan.steps_per_epoch, "verbose": 0}
    listed = keras.callbacks.CallbackList(callbacks, model=session.model, **params)
    for callback in callbacks:  # The list would start threads for steps, of which there are none.
        callback.on_train_begin()
    listed.on_epoch_begin(epoch)
    listed.on_epoch_end(epoch, logs)
