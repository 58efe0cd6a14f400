"""Runs jobs one after another, keeps what the page needs of them, and takes over earlier runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bakeoff_parts.plan import Job, Plan, what_trains
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_file import load_config, save_config

CHILD = Path(__file__).with_name("child.py")
PREEMPTED = 75


class Kept:
    """What stays of a finished run: `config.yaml`, `scores.json` and `outcome.json` in a folder."""

    def __init__(self, root: Path, job: Job):
        self.folder = root / job.data / job.recipe / f"seed{job.seed}"
        self.config = self.folder / "config.yaml"
        self.scores = self.folder / "scores.json"
        self.outcome = self.folder / "outcome.json"

    def is_whole(self) -> bool:
        """Whether the run is finished."""
        return self.config.is_file() and self.scores.is_file() and self.outcome.is_file()

    def fits(self, config: RunConfig) -> bool:
        """Whether it is of this recipe, as the recipe reads today."""
        return what_trains(load_config(self.config)) == what_trains(config)


def run(plan: Plan, job: Job, runs: Path, kept_root: Path, overrides: Sequence[str] = ()) -> str:
    """Trains and scores one job, unless that was done before.

    Args:
        plan: that the job belongs to.
        job: to be done.
        runs: folder of the training runs.
        kept_root: folder of what is kept.
        overrides: of the recipe, about where things lie.

    Returns:
        `"kept"` where it was finished before, else `"done"`.

    Raises:
        ConfigError: what lies there belongs to another recipe than today's.
        subprocess.CalledProcessError: the run failed, or was stopped (75).
    """
    config, kept = plan.config(job, overrides), Kept(kept_root, job)
    if kept.is_whole():
        if not kept.fits(config):
            raise ConfigError(f"{kept.folder}: the recipe has changed since; delete it to run anew")
        return "kept"
    folder = runs / job.data / job.recipe / f"seed{job.seed}"
    if (folder / "config.yaml").is_file():
        _refuse_another(folder, config)
    size = "x".join(map(str, plan.data[job.data].size))
    words = [plan.recipe(job), folder.absolute(), size, f"training.seed={job.seed}", *overrides]
    _wait([sys.executable, str(CHILD), *map(str, words)])
    keep(plan, job, folder, kept)
    return "done"


def keep(plan: Plan, job: Job, folder: Path, kept: Kept) -> None:
    """Copies the small part of a run that was trained and scored.

    The configuration is the recipe's own, resolved, so that no path of this machine is kept.

    Raises:
        ConfigError: the recipe was changed while the run was under way.
    """
    _refuse_another(folder, plan.config(job))
    notes = [json.loads(note.read_text()) for note in sorted((folder / "seconds").glob("*.json"))]
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    outcome = {
        "seconds": sum(note["clock"] for note in notes),
        "processor_seconds": sum(note["processor"] for note in notes),
        "starts": len(notes),
        **facts,
    }
    kept.folder.mkdir(parents=True, exist_ok=True)
    save_config(plan.config(job), kept.config)
    scores = json.loads((folder / "evaluation" / "last" / "scores.json").read_text("utf-8"))
    kept.scores.write_text(slim(scores), encoding="utf-8")
    kept.outcome.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


def _refuse_another(folder: Path, config: RunConfig) -> None:
    if what_trains(load_config(folder / "config.yaml")) != what_trains(config):
        raise ConfigError(f"{folder}: the recipe has changed since; delete it to run anew")


def slim(scores: dict) -> str:
    """`scores.json` without what a comparison does not need: contours and reliability by image,
    and the checkpoint, which is not kept."""
    from keras_ctxseg.evaluation.scores_file import scores_to_text

    scores = {key: value for key, value in scores.items() if key != "source"}
    images = [{**image, "boundary": None, "calibration": None} for image in scores["images"]]
    return scores_to_text({**scores, "images": images}) + "\n"


def adopt(plan: Plan, source: Path, runs: Path) -> list[Job]:
    """Copies finished runs from elsewhere that are the same as a job's, for `run` to score.

    Args:
        plan: whose jobs are looked for.
        source: a folder with runs somewhere below it.
        runs: folder of the training runs.

    Returns:
        The jobs that were found and not there before.
    """
    found = []
    wanted = {json.dumps(what_trains(plan.config(job)), sort_keys=True): job for job in plan.jobs}
    for file in sorted(source.rglob("config.yaml")):
        if not (file.parent / "checkpoints" / "last.keras").is_file():
            continue
        job = wanted.get(json.dumps(what_trains(load_config(file)), sort_keys=True))
        if job is None:
            continue
        folder = runs / job.data / job.recipe / f"seed{job.seed}"
        if folder.exists():
            continue
        shutil.copytree(file.parent, folder)
        _adopted_seconds(folder)
        found.append(job)
    return found


def _adopted_seconds(folder: Path) -> None:
    """The time that whoever trained it has written down: `wall_seconds` and `cpu_seconds`."""
    record = folder / "outcome.json"
    if record.is_file():
        spent = json.loads(record.read_text(encoding="utf-8"))
        note = {"clock": spent["wall_seconds"], "processor": spent["cpu_seconds"]}
        (folder / "seconds").mkdir()
        (folder / "seconds" / "0.json").write_text(json.dumps(note) + "\n", encoding="utf-8")


def _wait(command: list[str]) -> None:
    """Runs a process; a signal to this one is passed on, and the run gets to save itself."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    # A session of its own: a terminal's Ctrl-C would otherwise reach it twice.
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True
    )
    before = {
        number: signal.signal(number, lambda got, _: process.send_signal(got))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code:
        raise subprocess.CalledProcessError(code, command)
