"""Signals: the first saves the run in the middle of whatever it does, the second ends it."""

import csv
import os
import signal

import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.runs.checkpoint import read_state
from keras_ctxseg.runs.config import ConfigError
from keras_ctxseg.training.preemption import PreemptedError, StopRequestedError, StopSignals
from keras_ctxseg.training.progress import Progress
from keras_ctxseg.training.run import train
from tests.fixtures.tiny_parts import everything_in


@pytest.fixture(autouse=True)
def _sigint_is_heard():
    """A shell starts what runs in its background with this signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def quiet(line):
    pass


def test_the_first_signal_is_noted_and_the_second_is_pythons_own():
    before = [signal.getsignal(number) for number in StopSignals.SIGNALS]
    with StopSignals() as signals:
        assert signals.received is None
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received is signal.SIGINT
        for number in StopSignals.SIGNALS:
            assert signal.getsignal(number) is signal.SIG_DFL
    assert [signal.getsignal(number) for number in StopSignals.SIGNALS] == before


@pytest.mark.parametrize("second", StopSignals.SIGNALS)
def test_the_second_signal_ends_the_process(second):
    child = os.fork()
    if child == 0:
        try:
            with StopSignals():
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), second)
        finally:
            os._exit(0)  # Not reached.
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == second


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_examples_end_with_the_signal():
    with StopSignals() as signals:
        items = signals.ending(range(5))
        assert [next(items), next(items)] == [0, 1]
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StopRequestedError):
            next(items)


def log(directory):
    with (directory / "log.csv").open() as file:
        return [
            {name: float(value) for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]


def assert_same(resumed, straight):
    states = (
        everything_in(run.directory / "checkpoints/last.keras") for run in (resumed, straight)
    )
    for value, expected in zip(*states, strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6)
    for row, expected in zip(log(resumed.directory), log(straight.directory), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def kill_at_step(monkeypatch, step, number=signal.SIGTERM):
    """Sends the signal where `step` begins."""
    count = Progress.on_train_batch_begin

    def count_and_kill(self, batch, logs=None):
        count(self, batch, logs)
        if self.session.state.step == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Progress, "on_train_batch_begin", count_and_kill)


@pytest.mark.usefixtures("tiny_parts")
@pytest.mark.parametrize(
    "settings",
    [
        {"steps_per_execution": 2, "ema_momentum": 0.8},
        {"optimizer": "adamw", "learning_rate": 0.01, "precision": "mixed_float16"},
    ],
    ids=["two-steps-a-call", "adamw-float16"],
)
def test_inside_an_epoch(make_config, monkeypatch, settings):
    settings = {"batch_size": 2, "epochs": 2, **settings}  # 4 steps an epoch
    straight = train(make_config("straight", **settings), say=quiet)
    config = make_config("preempted", **settings)
    with monkeypatch.context() as patch:
        kill_at_step(patch, 6)
        with pytest.raises(
            PreemptedError, match=r"SIGTERM: stopped after step 6, saved in "
        ) as stop:
            train(config, say=quiet)
    state = stop.value.state
    assert (stop.value.exit_code, state.epoch, state.step_in_epoch) == (75, 1, 2)
    said = []
    assert_same(train(config, resume=True, say=said.append), straight)
    assert "Resuming   after epoch 1, 2 steps of the next, step 6" in said
    assert not any("afresh" in line for line in said)


@pytest.mark.usefixtures("tiny_parts")
def test_inside_the_validation(make_config, monkeypatch):
    settings = {"batch_size": 4, "epochs": 2, "ema_momentum": 0.5}
    straight = train(make_config("straight", **settings), say=quiet)
    evaluate = ctx.evaluation.Evaluator.__call__

    def kill_then_evaluate(self, examples):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluate(self, examples)

    config = make_config("preempted", **settings)
    last = config.directory / "checkpoints/last.keras"
    for epoch in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(ctx.evaluation.Evaluator, "__call__", kill_then_evaluate)
            with pytest.raises(PreemptedError, match="SIGINT: stopped after step"):
                train(config, resume=True, say=quiet)
        state = read_state(last)
        assert (state.epoch, state.step, state.step_in_epoch) == (epoch, 2 * epoch + 2, 2)
        assert set(state.epoch_logs) >= {"loss", "learning_rate"}
        if epoch == 0:
            with monkeypatch.context() as patch:
                kill_at_step(patch, 2)
                with pytest.raises(PreemptedError, match=r"stopped after step 2, saved"):
                    train(config, resume=True, say=quiet)
            assert (read_state(last).epoch, read_state(last).epoch_logs) == (1, None)
    resumed = train(config, resume="auto", say=quiet)
    assert resumed.best_mean_iou == pytest.approx(straight.best_mean_iou, abs=1e-6)
    assert_same(resumed, straight)


@pytest.mark.usefixtures("tiny_parts")
def test_another_plan_is_refused_inside_an_epoch(make_config, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at_step(patch, 3)
        with pytest.raises(PreemptedError):
            train(make_config(batch_size=2, epochs=2), say=quiet)
    with pytest.raises(ConfigError, match="saved 3 steps into epoch 1, which now has 2 steps"):
        train(make_config(batch_size=4, epochs=2), resume=True, say=quiet)
    with pytest.raises(ConfigError, match="expected a divisor of the 1 steps that are left in the"):
        train(make_config(batch_size=2, epochs=2, steps_per_execution=2), resume=True, say=quiet)
