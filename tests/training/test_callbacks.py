"""Callbacks of a recipe and of the caller: when they run, what they see, and what resume does."""

import csv
import dataclasses

import keras
import pytest

from keras_ctxseg.runs.checkpoint import read_state
from keras_ctxseg.runs.config import Named
from keras_ctxseg.training import PreemptedError
from keras_ctxseg.training.callback_states import CallbackStates
from keras_ctxseg.training.run import train

pytestmark = pytest.mark.usefixtures("tiny_parts")


def quiet(line):
    pass


class Recorded(keras.callbacks.Callback):
    """Notes what it sees, adds a column to the log, and stops or signals where it is told to."""

    seen: list = []  # noqa: RUF012, of all instances

    def __init__(self, name="recorded", end_after_epoch=None, end_after_step=None, kill_at=None):
        super().__init__()
        self.name, self.kill_at = name, kill_at
        self.end_after_epoch, self.end_after_step = end_after_epoch, end_after_step

    def on_train_begin(self, logs=None):
        self.seen.append((self.name, "begin"))
        self.total = 0

    def on_train_batch_end(self, batch, logs=None):
        if self.end_after_step == (batch + 1):
            self.model.stop_training = True

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.kill_at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)

    def on_epoch_end(self, epoch, logs=None):
        self.total += epoch + 1
        self.seen.append((self.name, epoch, sorted(logs)))
        logs[f"{self.name}_total"] = self.total
        if epoch == self.end_after_epoch:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.seen.append((self.name, "end"))


class Stateful(Recorded):
    def get_state(self):
        return {"total": self.total}

    def set_state(self, state):
        self.total = state["total"]


@pytest.fixture(autouse=True)
def seen():
    Recorded.seen.clear()
    return Recorded.seen


def named(kind, **arguments):
    return Named(f"{__name__}.{kind.__name__}", arguments)


def read_log(directory):
    with (directory / "log.csv").open() as file:
        return list(csv.DictReader(file))


def last_state(result):
    return read_state(result.directory / "checkpoints/last.keras")


def test_own_callbacks_see_the_validation_and_add_to_the_log(make_config, seen):
    config = make_config(epochs=2, callbacks=(named(Recorded, name="first"),))
    result = train(config, say=quiet, callbacks=[Recorded("second")])
    shared = {"loss", "learning_rate", "val_mean_iou", "val_pixel_accuracy", "mean_iou"}
    assert [entry[:2] for entry in seen] == [
        ("first", "begin"), ("second", "begin"),
        ("first", 0), ("second", 0), ("first", 1), ("second", 1),
        ("first", "end"), ("second", "end"),
    ]  # fmt: skip
    first, second = ({*entry[2]} for entry in seen[2:4])
    assert shared <= first
    assert second == first | {"first_total"}
    assert [row["second_total"] for row in read_log(result.directory)] == ["1", "3"]


def test_a_callback_may_end_the_run(make_config, seen):
    config = make_config(epochs=4, callbacks=(named(Recorded, end_after_epoch=1),))
    result = train(config, say=quiet)
    assert (result.epochs, result.steps) == (2, 4)
    assert seen[-1] == ("recorded", "end")
    assert last_state(result).ended
    # As if it had never stopped: the same command has nothing left to do.
    said = []
    again = train(config, resume=True, say=said.append)
    assert (again.epochs, again.steps) == (2, 4)
    assert "ended by a callback after epoch 2; without its callbacks it goes on" in said[-1]
    # Without the callback the run goes on.
    without = dataclasses.replace(
        config, training=dataclasses.replace(config.training, callbacks=())
    )
    assert train(without, resume=True, say=quiet).epochs == 4


def test_a_callback_may_end_the_run_inside_an_epoch(make_config):
    """The steps that were taken count, not those that were planned."""
    config = make_config(epochs=4, callbacks=(named(Recorded, end_after_step=1),))
    result = train(config, say=quiet)
    assert (result.epochs, result.steps) == (1, 1)
    last = keras.models.load_model(result.directory / "checkpoints/last.keras")
    assert int(last.optimizer.iterations) == 1


def test_states_survive_a_resume(make_config, seen):
    callbacks = (named(Stateful, name="kept"), named(Recorded, name="fresh", kill_at=2))
    config = make_config(epochs=4, callbacks=callbacks)
    with pytest.raises(PreemptedError):
        train(config, say=quiet)
    callbacks = (named(Stateful, name="kept"), named(Recorded, name="fresh"))
    config = dataclasses.replace(
        config, training=dataclasses.replace(config.training, callbacks=callbacks)
    )
    result = train(config, resume=True, say=quiet)
    rows = read_log(result.directory)
    assert [row["kept_total"] for row in rows] == ["1", "3", "6", "10"]
    assert [row["fresh_total"] for row in rows] == ["1", "3", "3", "7"]


def test_an_epoch_that_was_only_trained_ends_once(make_config, seen, monkeypatch):
    """A run that is stopped in the validation of its last epoch ends it on resume."""
    from keras_ctxseg.training.preemption import StopRequestedError
    from keras_ctxseg.training.validation import Validation

    config = make_config(epochs=2, callbacks=(named(Stateful),))
    validate = Validation.on_epoch_end

    def stop_in_the_second(self, epoch, logs=None):
        if epoch == 1:
            raise StopRequestedError
        validate(self, epoch, logs)

    monkeypatch.setattr(Validation, "on_epoch_end", stop_in_the_second)
    with pytest.raises(PreemptedError):
        train(config, say=quiet)
    monkeypatch.setattr(Validation, "on_epoch_end", validate)
    seen.clear()
    result = train(config, resume=True, say=quiet)
    assert [entry[:2] for entry in seen] == [
        ("recorded", "begin"), ("recorded", 1), ("recorded", "end"),
    ]  # fmt: skip
    assert [row["recorded_total"] for row in read_log(result.directory)] == ["1", "3"]


def test_early_stopping_counts_on_after_a_resume(make_config):
    """Keras' EarlyStopping ends an interrupted run where it ends one that was never stopped."""
    patient = Named(
        "keras.callbacks.EarlyStopping",
        # Nothing improves by 2: it stops once its patience is over.
        {"monitor": "val_mean_iou", "mode": "max", "min_delta": 2.0, "patience": 3},
    )
    straight = train(make_config("straight", epochs=8, callbacks=(patient,)), say=quiet)
    assert straight.epochs == 4
    config = make_config("stopped", epochs=8, callbacks=(patient, named(Recorded, kill_at=2)))
    with pytest.raises(PreemptedError):
        train(config, say=quiet)
    config = make_config("stopped", epochs=8, callbacks=(patient,))
    assert train(config, resume=True, say=quiet).epochs == straight.epochs


def test_a_state_must_be_json():
    class Bad(keras.callbacks.Callback):
        def get_state(self):
            return {1j}

        def set_state(self, state): ...

    with pytest.raises(ValueError, match="the callback Bad cannot be kept: expected JSON values"):
        CallbackStates([Bad()]).read()


def test_states_of_one_class_are_kept_apart():
    first, second = Stateful(), Stateful()
    first.total, second.total = 1, 2
    states = CallbackStates([first, Recorded(), second]).read()
    assert states == {"Stateful": {"total": 1}, "Stateful#2": {"total": 2}}
    third, fourth = Stateful(), Stateful()
    CallbackStates([third, fourth]).restore({**states, "Gone": 3})
    assert (third.total, fourth.total) == (1, 2)
