"""How `ctxseg train` is told to go on, and how it says that it may."""

from pathlib import Path

import pytest

from keras_ctxseg.cli import main
from keras_ctxseg.distribution.workers import WorkerLostError
from keras_ctxseg.runs.checkpoint import TrainingState
from keras_ctxseg.training import run
from keras_ctxseg.training.preemption import PreemptedError
from keras_ctxseg.training.run import RunResult


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: trial\nmodel: {name: ksac_mobilenet_v2}\ndata: {name: context_scenes}\n"
        f"output_dir: {tmp_path / 'runs'}\n"
    )
    return str(path)


@pytest.mark.parametrize(
    ("words", "resume", "epochs"),
    [
        (["RECIPE"], False, 30),
        (["RECIPE", "--resume"], True, 30),
        (["RECIPE", "--resume", "auto"], "auto", 30),
        (["RECIPE", "--resume=auto", "training.epochs=2"], "auto", 2),
        (["RECIPE", "--resume", "training.epochs=2"], True, 2),
        (["--resume", "RECIPE", "training.epochs=2"], True, 2),
        (["--resume", "auto", "RECIPE"], "auto", 30),
    ],
)
def test_resume_takes_auto_or_nothing(recipe, monkeypatch, words, resume, epochs):
    calls = []

    def train(config, say, **options):
        calls.append((config.training.epochs, options))
        return RunResult(Path("runs/trial"), epochs, 0, None, None, 0, 0.0)

    monkeypatch.setattr(run, "train", train)
    assert main(["train", *(recipe if word == "RECIPE" else word for word in words)]) == 0
    assert calls == [(epochs, {"resume": resume, "overwrite": False})]


def test_overwriting_and_resuming_exclude_each_other(recipe, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", recipe, "--resume", "auto", "--overwrite"])
    assert stop.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        PreemptedError("SIGTERM: stopped after step 3, saved in x", TrainingState(0, 3)),
        WorkerLostError("worker 1 has stopped"),
    ],
)
def test_what_another_start_mends_exits_with_75(recipe, monkeypatch, capsys, error):
    def train(*arguments, **options):
        raise error

    monkeypatch.setattr(run, "train", train)
    assert main(["train", recipe]) == 75
    assert capsys.readouterr().err == f"ctxseg: {error}; go on with --resume\n"
