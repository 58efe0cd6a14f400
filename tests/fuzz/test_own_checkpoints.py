"""A run's own checkpoints, damaged in any way."""

import io
import json
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from keras_ctxseg.runs.checkpoint import (
    CheckpointError,
    TrainingState,
    check_whole,
    load_checkpoint,
    read_running_metrics,
    read_state,
)
from tests.fuzz.oracle import damaged, damages, json_values, result_or_error

STATE = TrainingState(6, 14, 0.69, 2, 0.01, {"loss": 0.5})


def _weights() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("layers/conv/vars/0", data=np.ones((3, 3, 3, 2), "f"))
    return buffer.getvalue()


def _metrics() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, np.ones(3), np.zeros((2, 2)))
    return buffer.getvalue()


MEMBERS = {
    "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
    "config.json": b'{"module": "keras", "class_name": "Sequential", "config": {}}',
    "model.weights.h5": _weights(),
    "training_state.json": json.dumps(asdict(STATE)).encode(),
    "random_states.json": b"[[5, 12]]",
    "running_metrics.npz": _metrics(),
}  # fmt: skip


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


WHOLE = archive(MEMBERS)


def read(path: Path):
    check_whole(path)
    return read_state(path), read_running_metrics(path)


def check(content: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.keras"
        path.write_bytes(content)
        found = result_or_error(read, path, CheckpointError)
        result_or_error(load_checkpoint, path, CheckpointError)
    return found


def test_a_whole_one_is_read():
    state, metrics = check(WHOLE)
    assert state == STATE
    np.testing.assert_array_equal(metrics[0], np.ones(3))


@given(damages)
@example([("flip", 0.999, 1)])
def test_any_damage(changes):
    """Checksums cover every member: what is read is what was written."""
    found = check(damaged(WHOLE, changes))
    if found is not None:
        assert found[0] == STATE


@given(st.sampled_from([*MEMBERS]), damages)
def test_any_damage_with_right_checksums(name, changes):
    check(archive({**MEMBERS, name: damaged(MEMBERS[name], changes)}))


@given(st.dictionaries(st.sampled_from([*asdict(STATE), "format", "x"]), json_values, max_size=3))
@example({"epoch": -1})
@example({"best_mean_iou": float("nan")})
@example({"epoch_logs": {"loss": None}})
def test_any_state(changes):
    text = json.dumps({**asdict(STATE), **changes}).encode("utf-8", "surrogatepass")
    found = check(archive({**MEMBERS, "training_state.json": text}))
    if found is not None:
        state = found[0]
        assert 0 <= state.epoch <= state.step and 0 <= state.step_in_epoch <= state.step
        assert state.best_mean_iou is None or 0 <= state.best_mean_iou <= 1


@given(json_values)
@example(None)
def test_any_random_states(value):
    text = json.dumps(value).encode("utf-8", "surrogatepass")
    check(archive({**MEMBERS, "random_states.json": text}))
