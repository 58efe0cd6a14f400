"""Keeps the newest state of the run, at every epoch's end and inside epochs, and ends on a signal.

Everything happens where a step begins: what came before is done, and no thread of Keras' callbacks
stands between.
"""

from __future__ import annotations

import time
from dataclasses import replace

import keras
import numpy as np

from keras_ctxseg.distribution.collectives import agree_on_statistics
from keras_ctxseg.training.divergence import fail
from keras_ctxseg.training.session import Session


class Saving(keras.callbacks.Callback):
    """Saves at each epoch's end, inside epochs as the recipe says, and on a signal.

    All workers stop at the same step, whichever got the signal. Must be the last callback: if the
    process dies while logging, the epoch is logged again.
    """

    def __init__(self, session: Session):
        super().__init__()
        self.session = session

    def on_train_begin(self, logs=None):
        session = self.session  # After the callbacks' own `on_train_begin`.
        session.callback_states.restore(session.saved.callbacks)

    def on_train_batch_begin(self, batch, logs=None):
        session = self.session
        wishes = [
            session.signals.received is not None,
            self._is_due(),
            session.bad_loss is not None,
        ]
        stop, due, diverged = session.workers.largest(wishes)
        if diverged:
            fail(session)
        if stop or due:
            save_if_moved(session)
        if stop:
            raise session.preempted()

    def on_epoch_end(self, epoch, logs=None):
        session = self.session
        # A callback may end the run on one worker alone.
        ended = bool(session.workers.largest([self.model.stop_training])[0])
        self.model.stop_training = ended
        session.finish_epoch(ended)
        _save(session)

    def _is_due(self) -> bool:
        session, training = self.session, self.session.config.training
        every = training.save_every_steps
        if every is not None and session.state.step // every > session.saved.step // every:
            return True
        if training.save_every_minutes is None or not session.workers.is_chief:
            return False
        return time.monotonic() - session.saved_at >= 60 * training.save_every_minutes


class SaveBeforeValidation(keras.callbacks.Callback):
    """Saves the epoch's steps before a validation, which takes long and may be cut off.

    Does so where the run saves inside epochs anyway, or a signal waits. Must come before
    `Validation`.
    """

    def __init__(self, session: Session):
        super().__init__()
        self.session = session

    def on_epoch_end(self, epoch, logs=None):
        session, training = self.session, self.session.config.training
        session.state = replace(session.state, epoch_logs=dict(logs or {}))
        if not session.validates_after(epoch):
            return
        stop = session.workers.count == 1 and session.signals.received is not None
        inside_epochs = (training.save_every_steps, training.save_every_minutes) != (None, None)
        if stop or inside_epochs:
            save_if_moved(session)
        if stop:
            raise session.preempted()


def save_if_moved(session: Session) -> None:
    """Saves the session's state if it has taken steps since it was saved."""
    if session.state.step != session.saved.step:
        _save(session)


def _save(session: Session) -> None:
    """Writes `last.keras`: raw weights, optimizer, and the session's state.

    Workers that write no file still take part in the sums of metrics.
    """
    model = session.model
    # One replica's averages are saved. As averaging is linear, to do it early changes nothing.
    agree_on_statistics(model)
    running = []
    if session.state.step_in_epoch:
        running = [keras.ops.convert_to_numpy(variable) for variable in model.metrics_variables]
    if not (_is_finite(model) and all(np.all(np.isfinite(array)) for array in running)):
        fail(session, "a weight became NaN or infinite")
    state = replace(session.state, callbacks=session.callback_states.read())
    if session.workers.is_chief:
        session.history.save(model, state, running)
    session.note_saved(state)


def _is_finite(model: keras.Model) -> bool:
    """Whether all weights and all that the optimizer remembers of gradients are numbers."""
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    for variable in (*model.variables, *inner.variables):
        if "float" in keras.backend.standardize_dtype(variable.dtype) and not np.all(
            np.isfinite(keras.ops.convert_to_numpy(variable).astype("float32"))
        ):
            return False
    return True
