"""A trial that trains: a process of its own, through the training that users run."""

import csv
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from keras_ctxseg.backbones.block_tables import HAND_DILATED_BLOCKS
from keras_ctxseg.cli import main
from keras_ctxseg.search import (
    Candidate,
    StoppedError,
    Topology,
    TrainingObjective,
    count_cost,
    load_result,
    load_search_config,
)
from keras_ctxseg.search.config import WorkerConfig, load_proxy
from keras_ctxseg.search.objective import BrokenNetworkError


@pytest.fixture
def search_file(tmp_path, rng):
    """A search on a folder of six tiny images."""
    for split, count in {"train": 4, "val": 2}.items():
        for kind in ("images", "labels"):
            (tmp_path / "data" / split / kind).mkdir(parents=True)
        for number in range(count):
            label = rng.integers(0, 2, (33, 48), np.uint8)
            image = rng.integers(0, 255, (33, 48, 3), np.uint8)
            Image.fromarray(label).save(tmp_path / f"data/{split}/labels/{number}.png")
            Image.fromarray(image).save(tmp_path / f"data/{split}/images/{number}.png")
    (tmp_path / "data" / "classes.json").write_text('{"classes": ["a", "b"]}')
    recipe = {
        "name": "proxy",
        "model": {
            "name": "spinenet_seg_s49s",
            "options": {"width": 0.05, "filters": 4, "rates": [1]},
        },
        "data": {"name": "folder", "options": {"path": str(tmp_path / "data")}, "check": "off"},
        "augmentation": {"crop_size": [33, 33]},
        "training": {"batch_size": 4, "epochs": 2, "overlay_images": 0},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    search = {
        "name": "real",
        "recipe": "recipe.yaml",
        "trials": 1,
        "cost_size": [64, 64],
        "output_dir": str(tmp_path / "runs"),
        "worker": {"threads": 1},
    }
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(search))
    return path


def test_the_command_trains_counts_and_reports(search_file, capsys):
    assert main(["search", str(search_file)]) == 0
    printed = capsys.readouterr().out
    assert "1 of 1 trials are done; 1 on the front" in printed
    config = load_search_config(search_file)
    (record,) = load_result(config).records
    folder = config.directory / "trials" / f"{record.number:05d}"
    rows = list(csv.DictReader((folder / "log.csv").open()))
    scores = [float(row["val_mean_iou"]) for row in rows]
    assert record.outcome == "finished" and record.origin == "hand_dilated"
    assert record.curve == dict(enumerate(scores, start=1)) and record.mean_iou == scores[-1]
    topology = Topology(HAND_DILATED_BLOCKS, 3, 3)
    assert record.topology == topology
    options = load_proxy(config).model.options
    assert record.parameters == count_cost(topology, "s49s", 2, (64, 64), options).parameters
    assert not (folder / "checkpoints").exists()
    assert (config.directory / "report.html").is_file()
    # Once more there is nothing to do.
    assert main(["search", str(search_file), "--report"]) == 0
    assert "1 of 1" in capsys.readouterr().out


def candidate(tmp_path, parameters=1, watch=lambda: None):
    return Candidate(
        Topology(HAND_DILATED_BLOCKS, 3, 3), parameters, 1, tmp_path / "trials" / "00000", watch
    )


def replaced_child(monkeypatch, tmp_path, code):
    """Another program in the training process's place."""
    program = tmp_path / "child"
    program.write_text(f"#!{PYTHON} -S\nimport os, sys, time\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


PYTHON = sys.executable
ROWS = "epoch,val_mean_iou\\n0,0.25\\n1,\\n2,0.5\\n"


def test_what_the_process_leaves(search_file, tmp_path, monkeypatch):
    objective = TrainingObjective(load_proxy(load_search_config(search_file)), WorkerConfig())
    result = 'open(sys.argv[4], "w").write(\'{"parameters": 7}\')'
    log = f'open(os.path.dirname(sys.argv[3]) + "/log.csv", "w").write("{ROWS}")'
    replaced_child(monkeypatch, tmp_path, f"{log}\n{result}")
    reports = []
    score = objective(candidate(tmp_path, 7), lambda *one: reports.append(one))
    assert score == 0.5 and reports == [(1, 0.25), (3, 0.5)]  # The last, and epochs without a gap.
    with pytest.raises(BrokenNetworkError, match="has 7 parameters, and its table 8"):
        objective(candidate(tmp_path, 8), lambda *_: None)
    replaced_child(monkeypatch, tmp_path, result)
    with pytest.raises(BrokenNetworkError, match="without a validation"):
        objective(candidate(tmp_path, 7), lambda *_: None)
    replaced_child(monkeypatch, tmp_path, "print('cannot allocate'); os.kill(os.getpid(), 6)")
    with pytest.raises(BrokenNetworkError, match="ended with signal 6"):
        objective(candidate(tmp_path), lambda *_: None)
    replaced_child(monkeypatch, tmp_path, "sys.exit('ValueError: no')")
    with pytest.raises(BrokenNetworkError, match="ended with exit code 1: ValueError: no"):
        objective(candidate(tmp_path), lambda *_: None)


def test_the_process_ends_with_its_trial(search_file, tmp_path, monkeypatch):
    objective = TrainingObjective(load_proxy(load_search_config(search_file)), WorkerConfig())
    mark = tmp_path / "pid"
    log = f'open(os.path.dirname(sys.argv[3]) + "/log.csv", "w").write("{ROWS}")'
    note = f'open({str(mark)!r}, "w").write(str(os.getpid()))'
    replaced_child(monkeypatch, tmp_path, f"{note}\n{log}\ntime.sleep(600)")

    def stop(epoch, score):
        raise StoppedError("behind")

    with pytest.raises(StoppedError):
        objective(candidate(tmp_path), stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.whole
def test_the_process_ends_with_its_parent(search_file, tmp_path):
    """Also where the parent is killed: its end of the pipe closes."""
    recipe = replace(load_proxy(load_search_config(search_file)), output_dir=str(tmp_path / "out"))
    from keras_ctxseg.runs.config_file import save_config

    save_config(recipe, tmp_path / "trial.yaml")
    result = tmp_path / "result.json"
    child = subprocess.Popen(
        [sys.executable, "-m", "keras_ctxseg.search.trial_child",
         str(tmp_path / "trial.yaml"), str(result)],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    time.sleep(0.2)
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(timeout=900) == 1
    assert not result.exists() and not (tmp_path / "out").exists()
