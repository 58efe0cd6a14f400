"""Runs are stopped, go on, are kept, are not run twice, and are taken over from elsewhere."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from keras_ctxseg.runs.config import ConfigError
from tests.bakeoff.conftest import ROOT
from tests.fixtures.dummy_datasets.folder import write_folder

SCRIPT = ROOT / "benchmarks" / "bakeoff.py"


@pytest.fixture
def words(tmp_path, plan_file):
    """A command line on 3 and 2 images; the page has one block."""
    write_folder(tmp_path / "images", 3, count=3)
    (tmp_path / "page.md").write_text("<!-- begin words -->\n<!-- end words -->\n")
    places = {"camvid": tmp_path / "images", "plan": plan_file, "runs": tmp_path / "runs",
              "kept": tmp_path / "kept", "page": tmp_path / "page.md"}  # fmt: skip
    return [str(word) for name, path in places.items() for word in (f"--{name}", path)]


@pytest.mark.whole
def test_a_stopped_run_goes_on_and_is_kept(words, plan, tmp_path):
    command = [sys.executable, str(SCRIPT), *words, "--only", "words/*"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": "1"}
    run = tmp_path / "runs" / "words" / "long" / "seed3"
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not (run / "log.csv").is_file() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=600) == 75
    assert not (tmp_path / "kept" / "words").exists()
    assert "**Not run yet:** `long` (seed 3)." in (tmp_path / "page.md").read_text()
    done = _epochs(run)
    assert 1 <= len(done) < 12
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "Resuming   after epoch" in said.stdout
    assert _epochs(run) == list(range(12))
    kept = tmp_path / "kept" / "words" / "long" / "seed3"
    assert sorted(file.name for file in kept.iterdir()) == [
        "config.yaml", "outcome.json", "scores.json",
    ]  # fmt: skip
    scores = json.loads((kept / "scores.json").read_text())
    with (run / "log.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert scores["mean_iou"] == pytest.approx(float(last["val_mean_iou"]), abs=1e-6)
    assert [image["boundary"] for image in scores["images"]] == [None] * 3
    outcome = json.loads((kept / "outcome.json").read_text())
    assert outcome["starts"] == 2 and outcome["processor_seconds"] > 1
    assert outcome["multiply_adds"] > 1e6 and outcome["size"] == [33, 33]
    assert str(tmp_path) not in (kept / "config.yaml").read_text()
    assert f"{100 * scores['mean_iou']:.1f}" in (tmp_path / "page.md").read_text()


def test_a_kept_run_is_not_run_again(plan, keep_made_up, tmp_path, monkeypatch):
    from bakeoff_parts import runs

    monkeypatch.setattr(runs, "_wait", lambda command: pytest.fail("it ran"))
    job = plan.jobs[0]
    keep_made_up(job, [[[5, 1], [2, 7]]])
    assert runs.run(plan, job, tmp_path / "runs", tmp_path / "kept") == "kept"
    recipe = plan.recipe(job)
    recipe.write_text(recipe.read_text().replace("filters: 8", "filters: 9"))
    with pytest.raises(ConfigError, match=r"plain/seed0: the recipe has changed"):
        runs.run(plan, job, tmp_path / "runs", tmp_path / "kept")


def test_a_begun_run_of_another_recipe_is_left_alone(plan, tmp_path, monkeypatch):
    from bakeoff_parts import runs

    from keras_ctxseg.runs.config_file import save_config

    monkeypatch.setattr(runs, "_wait", lambda command: pytest.fail("it ran"))
    job = plan.jobs[0]
    folder = tmp_path / "runs" / "shapes" / "plain" / "seed0"
    folder.mkdir(parents=True)
    save_config(plan.config(job, ["training.batch_size=1"]), folder / "config.yaml")
    with pytest.raises(ConfigError, match="the recipe has changed"):
        runs.run(plan, job, tmp_path / "runs", tmp_path / "kept")


def test_a_recipe_changed_under_way_is_not_kept(plan, tmp_path, monkeypatch):
    from bakeoff_parts import runs

    from keras_ctxseg.runs.config_file import save_config

    job = plan.jobs[0]
    folder, recipe = tmp_path / "runs" / "shapes" / "plain" / "seed0", plan.recipe(job)

    def train(command):
        folder.mkdir(parents=True)
        save_config(plan.config(job), folder / "config.yaml")
        recipe.write_text(recipe.read_text().replace("filters: 8", "filters: 9"))

    monkeypatch.setattr(runs, "_wait", train)
    with pytest.raises(ConfigError, match="the recipe has changed"):
        runs.run(plan, job, tmp_path / "runs", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_runs_are_taken_over_by_what_they_trained(plan, tmp_path):
    from bakeoff_parts import runs

    from keras_ctxseg.runs.config_file import save_config

    for name, overrides in (
        ("same", ["training.seed=1", "output_dir=far", "data.options.path=other"]),
        ("unlike", ["training.seed=0", "training.learning_rate=0.5"]),
        ("unfinished", ["training.seed=0"]),
    ):
        folder = tmp_path / "old" / name
        (folder / "checkpoints").mkdir(parents=True)
        save_config(plan.config(plan.jobs[0], overrides), folder / "config.yaml")
        if name != "unfinished":
            (folder / "checkpoints" / "last.keras").write_text(name)
        (folder / "outcome.json").write_text('{"wall_seconds": 3.5, "cpu_seconds": 6.5}')
    found = runs.adopt(plan, tmp_path / "old", tmp_path / "runs")
    assert [str(job) for job in found] == ["shapes/plain/seed1"]
    taken = tmp_path / "runs" / "shapes" / "plain" / "seed1"
    assert (taken / "checkpoints" / "last.keras").read_text() == "same"
    spent = json.loads((taken / "seconds" / "0.json").read_text())
    assert spent == {"clock": 3.5, "processor": 6.5}
    assert runs.adopt(plan, tmp_path / "old", tmp_path / "runs") == []


def test_without_the_images_the_runs_are_passed_over(words, tmp_path, capsys):
    import bakeoff

    words[words.index("--camvid") + 1] = str(tmp_path / "nowhere")
    assert bakeoff.main([*words, "--only", "shapes/*"]) == 0
    assert capsys.readouterr().out.count("say where it is with --camvid") == 3
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("given", "named"),
    [(["--only", "shapes/thin"], "shapes/thin"), (["adopt"], "expected a folder with runs")],
)
def test_what_cannot_be_meant_is_refused(words, capsys, given, named):
    import bakeoff

    assert bakeoff.main([*given, *words]) == 2
    assert named in capsys.readouterr().err


def test_a_page_that_is_not_there_is_named_before_training(words, tmp_path, capsys):
    import bakeoff

    words[words.index("--page") + 1] = str(tmp_path / "pages.md")
    assert bakeoff.main([*words, "--only", "shapes/plain"]) == 2
    assert "pages.md: expected blocks" in (error := capsys.readouterr().err)
    assert error.endswith("Found no such file\n") and not (tmp_path / "runs").exists()


def _epochs(run):
    with (run / "log.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]
