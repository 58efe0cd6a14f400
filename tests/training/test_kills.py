"""A run that is killed again and again reaches the weights and the log of one that never was."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_ctxseg.cli import main
from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.checkpoint import read_state
from tests.fixtures.tiny_parts import everything_in
from tests.training import small_run

ROOT = Path(__file__).parents[2]
STEPS = 66  # 6 epochs of 11
KILLS = 10

RECIPE = """
name: run
model: {{name: tiny}}
data: {{name: stripes}}
augmentation: {{crop_size: [33, 33]}}
training:
  batch_size: 2
  epochs: 6
  learning_rate: 0.05
  ema_momentum: 0.9
  weight_decay: 1.e-4
  save_every_steps: 4
  keep_checkpoints: 3
  overlay_images: 1
output_dir: {output}
"""


class SmallRun:
    """One run directory; `begin` starts a process that trains in it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(RECIPE.format(output=folder))
        self.progress = folder / "progress"

    def begin(self):
        self.progress.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        words = ["train", str(self.recipe), "--resume", "auto"]
        return subprocess.Popen(
            [sys.executable, Path(__file__).with_name("small_run.py"), self.progress, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )

    def train(self, capsys, monkeypatch):
        """Trains in this process; exit code and output."""
        monkeypatch.setattr(assembly, "load", small_run.load)
        monkeypatch.setattr(assembly, "build", small_run.build)
        capsys.readouterr()
        return main(["train", str(self.recipe), "--resume", "auto"]), capsys.readouterr().out

    def signal_at(self, step, number, pause=0.0):
        """Trains until `step` begins, sends the signal, returns exit code and output."""
        process = self.begin()
        deadline = time.monotonic() + 300
        while self.step() < step:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"ended before step {step}:\n{process.communicate()[0]}")
            time.sleep(0.002)
        time.sleep(pause)
        process.send_signal(number)
        return self.end(process)

    def step(self):
        text = self.progress.read_text() if self.progress.exists() else ""
        return int(text) if text else -1

    def end(self, process):
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def state(self):
        return everything_in(self.folder / "run/checkpoints/last.keras")

    def log(self):
        with (self.folder / "run/log.csv").open() as file:
            rows = list(csv.DictReader(file))
        return [
            {name: float(value) for name, value in row.items() if value and name != "seconds"}
            for row in rows
        ]


@pytest.fixture
def never_killed(tmp_path, capsys, monkeypatch):
    run = SmallRun(tmp_path / "never")
    code, output = run.train(capsys, monkeypatch)
    assert code == 0, output
    assert "There is no checkpoint" in output
    return run


def assert_same(run, oracle):
    for values, expected in zip(run.state(), oracle.state(), strict=True):
        # The processes add up in another order than the tests' own, which may have more threads.
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
    assert len(run.log()) == len(oracle.log()) == 6
    for row, theirs in zip(run.log(), oracle.log(), strict=True):
        assert row == pytest.approx(theirs, abs=1e-5)


@pytest.mark.whole
def test_ten_kills_change_nothing(never_killed, tmp_path):
    draw = random.Random(20240607)
    run = SmallRun(tmp_path / "killed")
    steps = sorted(draw.sample(range(1, STEPS - 2), KILLS))
    resumed = []
    for step in steps:
        code, output = run.signal_at(step, signal.SIGKILL, pause=draw.uniform(0, 0.03))
        assert code == -signal.SIGKILL
        resumed.append("Resuming" in output)
    assert sum(resumed) >= KILLS - 2  # The first few may come before the first save.
    checkpoints = run.folder / "run/checkpoints"
    assert len(list(checkpoints.glob("step_*.keras"))) == 2
    code, output = run.end(run.begin())
    assert code == 0, output
    assert read_state(checkpoints / "last.keras").step == STEPS
    assert_same(run, never_killed)


def test_sigterm_saves_the_step_and_exits_with_75(never_killed, tmp_path, capsys, monkeypatch):
    run = SmallRun(tmp_path / "preempted")
    code, output = run.signal_at(17, signal.SIGTERM)
    assert code == 75, output
    state = read_state(run.folder / "run/checkpoints/last.keras")
    # Between two multiples of save_every_steps: it was saved for the signal.
    assert (state.epoch, state.step_in_epoch) == (1, state.step - 11)
    assert 17 <= state.step < 20 and state.step == run.step()
    assert "SIGTERM: finishing the step and saving" in output
    assert f"SIGTERM: stopped after step {state.step}, saved in " in output
    code, output = run.train(capsys, monkeypatch)
    assert code == 0, output
    assert f"Resuming   after epoch 1, {state.step - 11} steps of the next" in output
    assert_same(run, never_killed)
