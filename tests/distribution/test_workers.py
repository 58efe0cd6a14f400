"""Whole runs on two workers: the weights and scores of one, also after a worker was killed."""

import csv
import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.distribution.processes import ROOT, environment
from tests.fixtures.tiny_parts import everything_in

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute")
SCRIPT = Path(__file__).with_name("workers_script.py")
RECIPE = """
name: run
model: {{name: tiny}}
data: {{name: stripes}}
augmentation: {{crop_size: [33, 33]}}
training:
  batch_size: 4
  epochs: 3
  learning_rate: 0.05
  ema_momentum: 0.9
  clip_norm: 0.5
  lr_multipliers: {{classify: 3.0}}
  accumulate_steps: 2
  sync_batch_norm: true
  save_every_steps: 1
  overlay_images: 1
output_dir: {output}
"""


@pytest.fixture(scope="module")
def launcher():
    """`scripts/launch_local_workers.py` as a module."""
    path = ROOT / "scripts/launch_local_workers.py"
    spec = importlib.util.spec_from_file_location("launch_local_workers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def launch(launcher, tmp_path, monkeypatch, capsys):
    """`launch(*words)`: trains with `workers_script.py`; exit code and output."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(output=tmp_path))
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TF_CONFIG", raising=False)

    def launch(count, *words, kill_at=-1):
        monkeypatch.setenv("KILL_AT", str(kill_at))
        command = [sys.executable, str(SCRIPT), "train"]
        code = launcher.main([str(count), str(recipe), *words], command=command)
        return code, capsys.readouterr().out

    return launch


def log_of(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def assert_same_run(folder, expected):
    mine, theirs = (everything_in(run / "checkpoints/last.keras") for run in (folder, expected))
    assert len(mine) == len(theirs)
    for value, oracle in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(value, oracle, atol=1e-5)
    assert len(log_of(folder)) == len(log_of(expected)) == 3
    for row, oracle in zip(log_of(folder), log_of(expected), strict=True):
        for name in ("mean_iou", "pixel_accuracy", "val_mean_iou", "val_pixel_accuracy"):
            assert row[name] == oracle[name]
        assert float(row["loss"]) == pytest.approx(float(oracle["loss"]), rel=1e-5)


@pytest.mark.whole
def test_a_killed_worker_stops_all_and_the_job_goes_on(launch, tmp_path):
    code, said = launch(1, "name=alone", "training.strategy=one_device")
    assert code == 0, said

    code, said = launch(2, "name=two", kill_at=3)
    assert code not in (0, None)
    assert "launcher  a worker ended with" in said
    assert (tmp_path / "two/checkpoints/last.keras").exists()

    code, said = launch(2, "name=two", "--resume")
    assert code == 0, said
    assert "worker 0  Resuming   after epoch 1" in said
    # The second worker says nothing of the run but how it ended.
    assert not [line for line in said.splitlines() if line.startswith("worker 1  Model")]
    assert_same_run(tmp_path / "two", tmp_path / "alone")


@pytest.mark.whole
def test_an_error_is_said_by_its_worker(launcher, capsys, tmp_path):
    assert launcher.main(["2", str(tmp_path / "missing.yaml")]) == 2
    lines = capsys.readouterr().out.splitlines()
    errors = [line for line in lines if "ctxseg: error:" in line and "missing.yaml" in line]
    assert errors and errors[0].startswith(("worker 0  ", "worker 1  "))
