"""Checkpoints under full disks, kills and damage: whole or absent, never half."""

import errno
import itertools
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pytest

from keras_ctxseg.runs import checkpoint
from keras_ctxseg.runs.checkpoint import (
    CheckpointError,
    TrainingState,
    check_whole,
    load_checkpoint,
    read_state,
    remove_partial_checkpoints,
    save_checkpoint,
)


@pytest.fixture
def saved(make_model, tmp_path):
    """A model, its checkpoint of epoch 1, and the weights in there."""
    model = make_model()
    model.compile("sgd", {"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    path = tmp_path / "last.keras"
    save_checkpoint(model, path, TrainingState(1, 10, 0.5))
    weights = model.get_weights()
    model.set_weights([weight + 1 for weight in weights])
    return model, path, weights


def assert_holds(path, weights, state):
    assert read_state(path) == state
    for value, expected in zip(load_checkpoint(path).get_weights(), weights, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_holds_model_and_state(saved):
    _, path, weights = saved
    assert_holds(path, weights, TrainingState(1, 10, 0.5))


def test_a_full_disk_keeps_the_previous_one(saved, monkeypatch):
    model, path, weights = saved

    def save_half(target, *args, **kwargs):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(model, "save", save_half)
    with pytest.raises(
        CheckpointError, match=rf"{path}.*No space left.*previous checkpoint.*is kept"
    ):
        save_checkpoint(model, path, TrainingState(2, 20))
    assert_holds(path, weights, TrainingState(1, 10, 0.5))
    assert os.listdir(path.parent) == ["last.keras"]


def test_a_real_refusal_of_the_file_system_keeps_the_previous_one(saved):
    """The kernel stops the write in the middle, as a full disk would."""
    model, path, weights = saved
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"last\.keras: .*File too large"):
            save_checkpoint(model, path, TrainingState(2, 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert_holds(path, weights, TrainingState(1, 10, 0.5))
    assert os.listdir(path.parent) == ["last.keras"]


@pytest.mark.parametrize("moment", ["_flush", "os.replace"])
def test_a_kill_leaves_the_previous_one(saved, monkeypatch, moment):
    model, path, weights = saved

    class Killed(BaseException):
        pass

    def die(*args):
        raise Killed

    monkeypatch.setattr(f"{checkpoint.__name__}.{moment}", die)
    with pytest.raises(Killed):
        save_checkpoint(model, path, TrainingState(2, 20))
    monkeypatch.undo()
    assert_holds(path, weights, TrainingState(1, 10, 0.5))
    leftovers = remove_partial_checkpoints(path.parent)
    assert len(leftovers) == 1
    assert os.listdir(path.parent) == ["last.keras"]


@pytest.mark.parametrize("attempts", [1, pytest.param(3, marks=pytest.mark.whole)])
def test_sigkill_while_saving(make_model, tmp_path, attempts):
    """A process that does nothing but save is killed at arbitrary moments."""
    model = make_model()
    start = tmp_path / "start.keras"
    save_checkpoint(model, start, TrainingState(0, 0))
    script = (
        "import sys, keras_ctxseg, itertools\n"
        "from keras_ctxseg.runs.checkpoint import *\n"
        "model = load_checkpoint(sys.argv[1])\n"
        "for step in itertools.count(1):\n"
        "    save_checkpoint(model, sys.argv[2], TrainingState(step, step))\n"
    )
    for attempt in range(attempts):
        target = tmp_path / str(attempt) / "last.keras"
        process = subprocess.Popen([sys.executable, "-c", script, start, target])
        deadline = time.monotonic() + 120
        while not target.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.013 * (attempt + 1))
        process.kill()
        process.wait()
        assert read_state(target).epoch >= 1
        load_checkpoint(target, num_classes=3)
        remove_partial_checkpoints(target.parent)
        assert os.listdir(target.parent) == ["last.keras"]


def test_another_number_of_classes_is_refused(saved):
    _, path, _ = saved
    message = r"`num_classes` disagrees: the checkpoint .*last\.keras predicts 3 classes, .* have 5"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, num_classes=5)


def test_a_damaged_file_is_named(saved):
    _, path, _ = saved
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*last\.keras"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*last\.keras"):
        read_state(path)


def test_a_missing_or_foreign_file_is_named(make_model, tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*none\.keras"):
        load_checkpoint(tmp_path / "none.keras")
    path = tmp_path / "foreign.keras"
    make_model().save(path)
    with pytest.raises(CheckpointError, match=r"foreign\.keras holds no training_state\.json"):
        read_state(path)


def test_another_network_is_refused_on_resume(saved, make_model):
    _, path, _ = saved
    other = make_model(num_classes=5)
    other.compile("sgd", {"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    with pytest.raises(CheckpointError, match="does not fit the configured model"):
        checkpoint.restore(other, path)


STATE, RANDOM = "training_state.json", "random_states.json"
METRICS, WEIGHTS = "running_metrics.npz", "model.weights.h5"


def with_member(path, name, content, **settings):
    """Replaces a member of a checkpoint, or adds it."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in {**members, name: content}.items():
            archive.writestr(each, data, **(settings if each == name else {}))


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (STATE, "[1]", "expected a mapping of keys. Received: [1]"),
        (STATE, '{"format": 2, "epoch": 1, "step": 1}', "expected format 1. Found: 2, of a newer"),
        (STATE, '{"epoch": 1, "step": 1, "x": 0}', "unknown keys x; of a newer keras_ctxseg?"),
        (STATE, '{"epoch": -1, "step": 1}', "`epoch`: expected at least 0. Received: -1"),
        (STATE, '{"epoch": true, "step": 1}', "`epoch`: expected an integer. Received: True"),
        (STATE, '{"epoch": 1}', "missing 1 required positional argument: 'step'"),
        (STATE, '{"epoch": 1, "step": 1e9}', "`step`: expected an integer. Received: 1000000000.0"),
        (STATE, '{"epoch": 5, "step": 1}', "`step`: expected at least one for each of the 5 epo"),
        (STATE, '{"epoch": 1, "step": 9, "best_mean_iou": NaN}', "`best_mean_iou`: expected a num"),
        (STATE, '{"epoch": 1, "step": 9, "best_mean_iou": 2}', "`best_mean_iou`: expected 0 to 1"),
        (STATE, '{"epoch": 1, "step": 9, "step_in_epoch": 10}', "`step`: expected at least the 10"),
        (STATE, '{"epoch": 1, "step": 9, "epoch_logs": {"a": "b"}}', "`epoch_logs.a`: expect"),
        (STATE, "[" * 100_000, "maximum recursion depth exceeded"),
        (RANDOM, "null", "expected a list. Received: None"),
        (RANDOM, "[[1.5]]", "expected lists of 32-bit numbers. Received: [[1.5]]"),
        (RANDOM, "[[1], [2, [3]]]", "random_states.json: "),
        (METRICS, b"no archive", "running_metrics.npz: File is not a zip file"),
        (WEIGHTS, b"no weights", "cannot read the checkpoint"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_what_a_run_cannot_go_on_from_is_named(saved, member, content, message):
    _, path, _ = saved
    check_whole(path)
    with_member(path, member, content)
    with pytest.raises(CheckpointError, match=re.escape(message)) as error:
        check_whole(path)
    assert str(path) in str(error.value)


def test_archives_have_limits(saved):
    model, path, _ = saved
    whole = path.read_bytes()
    for method, message in (
        (zipfile.ZIP_BZIP2, "'bomb' is compressed by method 12, expected 0 (stored) or 8"),
        (zipfile.ZIP_DEFLATED, "its members declare 1"),
    ):
        with_member(path, "bomb", bytes(120 * 2**20), compress_type=method)
        for read in (check_whole, load_checkpoint):
            with pytest.raises(CheckpointError, match=re.escape(message)):
                read(path)
        path.write_bytes(whole)
    # The bit that says "encrypted", in the directory at the archive's end.
    place = whole.rindex(b"PK\x01\x02", 0, whole.rindex(RANDOM.encode())) + 8
    path.write_bytes(whole[:place] + bytes([whole[place] | 1]) + whole[place + 1 :])
    for read in (check_whole, load_checkpoint, lambda path: checkpoint.restore(model, path)):
        with pytest.raises(CheckpointError, match=f"'{RANDOM}' is encrypted"):
            read(path)


def test_random_states_of_another_network_are_refused(saved):
    model, path, _ = saved
    with_member(path, RANDOM, "[[1, 2], [1, 2], [1, 2], [1, 2], [1, 2]]")
    with pytest.raises(CheckpointError, match="random_states.json: expected arrays of the shapes"):
        checkpoint.restore(model, path)


def test_a_model_of_others_is_refused(tmp_path):
    path = tmp_path / "other.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(CheckpointError, match="expected a model of keras_ctxseg, whose output is"):
        load_checkpoint(path, num_classes=2)
