"""Several checkpoints: a damaged one is passed over for the one before it."""

import os

import keras
import numpy as np
import pytest

from keras_ctxseg.runs import checkpoint_history
from keras_ctxseg.runs.checkpoint import CheckpointError, TrainingState, read_state
from keras_ctxseg.runs.checkpoint_history import CheckpointHistory


@pytest.fixture
def model(make_model):
    model = make_model()
    model.compile("sgd", {"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def history(tmp_path):
    return CheckpointHistory(tmp_path / "last.keras", keep=3)


def save(history, model, *steps):
    """Checkpoints in which every weight is the step's number."""
    for step in steps:
        model.set_weights([np.full_like(weight, step) for weight in model.get_weights()])
        history.save(model, TrainingState(epoch=0, step=step, step_in_epoch=step))


def names(history):
    return sorted(path.name for path in history.newest.parent.iterdir())


def damage(path):
    """Flips one bit in the middle of the weights, as a bad disk does; sizes stay as they are."""
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.unlink()  # Earlier checkpoints may be the same file under another name.
    path.write_bytes(contents)


def assert_restores(history, model, step, passed_over=()):
    said = []
    state, path = CheckpointHistory(history.newest, history.keep).restore(model, said.append)
    assert state.step == step
    assert read_state(path) == state
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, np.full_like(weight, step))
    assert len(said) == len(passed_over)
    for line, name in zip(said, passed_over, strict=True):
        assert line.startswith("Passed over ") and name in line


def test_keeps_as_many_as_asked(history, model):
    save(history, model, 10, 20, 30, 40, 50)
    assert names(history) == ["last.keras", "step_000000030.keras", "step_000000040.keras"]
    assert [read_state(path).step for path in history.paths()] == [50, 40, 30]
    assert_restores(history, model, 50)


def test_one_is_only_the_newest(tmp_path, model):
    history = CheckpointHistory(tmp_path / "last.keras", keep=1)
    save(history, model, 10, 20)
    assert names(history) == ["last.keras"]


def test_a_damaged_newest_falls_back(history, model):
    save(history, model, 10, 20, 30)
    damage(history.newest)
    assert_restores(history, model, 20, ["last.keras: model.weights.h5 fails its checksum"])
    history.newest.write_bytes(history.newest.read_bytes()[:-300])
    assert_restores(history, model, 20, ["last.keras"])
    damage(history.paths()[1])
    assert_restores(history, model, 10, ["last.keras", "step_000000020.keras"])


def test_what_was_damaged_is_not_kept_again(history, model):
    save(history, model, 10, 20, 30)
    damage(history.newest)
    again = CheckpointHistory(history.newest, keep=3)
    again.restore(model, lambda line: None)
    save(again, model, 25, 26)
    assert [read_state(path).step for path in again.paths()] == [26, 25, 20]
    assert_restores(again, model, 26)


def test_all_damaged_is_an_error(history, model):
    save(history, model, 10, 20)
    for path in history.paths():
        damage(path)
    with pytest.raises(CheckpointError, match=r"none of the 2 checkpoints in .* can be read.*--ov"):
        history.restore(model, lambda line: None)


def test_no_checkpoint_is_none(history, model):
    assert history.restore(model) is None


def test_the_same_step_twice_is_one_checkpoint(history, model):
    save(history, model, 10, 20, 20)
    assert [read_state(path).step for path in history.paths()] == [20, 10]


def test_without_hard_links(history, model, monkeypatch):
    def refuse(*paths):
        raise PermissionError("no links here")

    monkeypatch.setattr(checkpoint_history.os, "link", refuse)
    save(history, model, 10, 20, 30)
    assert [read_state(path).step for path in history.paths()] == [30, 20, 10]
    # Killed between setting the newest aside and writing its successor:
    os.unlink(history.newest)
    assert_restores(history, model, 20)


def test_loss_scale_and_averages_travel(make_model, tmp_path):
    """Also where all steps so far were skipped, so that the optimizer has counted none."""
    from keras_ctxseg.runs.checkpoint import restore, save_checkpoint

    def compiled():
        model = make_model()
        inner = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
        model.compile(keras.optimizers.LossScaleOptimizer(inner), {"logits": "mse"})
        model.optimizer.build(model.trainable_variables)
        return model

    model = compiled()
    rng = np.random.default_rng(0)
    for variable in model.optimizer.variables:
        if "float" in variable.dtype:
            variable.assign(rng.normal(size=variable.shape))
    model.optimizer.dynamic_scale.assign(2.0**13)
    save_checkpoint(model, tmp_path / "last.keras", TrainingState(0, 3, step_in_epoch=3))
    other = compiled()
    restore(other, tmp_path / "last.keras")
    pairs = zip(other.optimizer.variables, model.optimizer.variables, strict=True)
    for variable, expected in pairs:
        np.testing.assert_array_equal(variable.numpy(), expected.numpy())
    assert float(other.optimizer.dynamic_scale.numpy()) == 2.0**13
