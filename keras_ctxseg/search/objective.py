"""What a search asks of a network: its validation mIoU after a short training."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_ctxseg.runs.config import RunConfig
from keras_ctxseg.runs.config_file import save_config
from keras_ctxseg.runs.run_directory import RunDirectory
from keras_ctxseg.search.config import StoppingConfig, WorkerConfig
from keras_ctxseg.search.topology import Topology

Report = Callable[[int, float], None]
"""`report(epochs, mean_iou)`; raises to end the trial."""


@dataclass(frozen=True)
class Candidate:
    """A network to be scored.

    Attributes:
        topology: what it is.
        parameters: trainable or not, by arithmetic.
        multiply_adds: of one image, by arithmetic.
        folder: for the trial's files; not there yet.
        watch: to be called every second or so; raises where the trial is no longer ours.
    """

    topology: Topology
    parameters: int
    multiply_adds: int
    folder: Path
    watch: Callable[[], None]


Objective = Callable[[Candidate, Report], float]
"""Scores a candidate, in 0...1; any exception of its own makes the candidate a failed trial."""


class BrokenNetworkError(RuntimeError):
    """A network that could not be built or trained; the message says why."""


@dataclass(frozen=True)
class TrainingObjective:
    """One run of `keras_ctxseg.training.train` in a process of its own.

    A process, so that whatever a network does to TensorFlow ends that process and not the search,
    and so that its memory is given back.

    Args:
        proxy: the run; its topology is replaced by the candidate's.
        worker: threads, and whether weights are kept.
    """

    proxy: RunConfig
    worker: WorkerConfig = field(default_factory=WorkerConfig)

    def __call__(self, candidate: Candidate, report: Report) -> float:
        """Trains and scores.

        Returns:
            The mean IoU of the last validation. Not the best one: that would favour luck.

        Raises:
            BrokenNetworkError: the process failed, or built another network than was counted.
        """
        run = RunDirectory(candidate.folder)
        shutil.rmtree(run.path, ignore_errors=True)
        run.path.mkdir(parents=True)
        recipe, result = run.path / "recipe.yaml", run.path / "result.json"
        save_config(trial_recipe(self.proxy, candidate.topology, run.path), recipe)
        curve: dict[int, float] = {}
        with (run.path / "train.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "keras_ctxseg.search.trial_child", str(recipe), str(result)],
                env=self._environment(),
                stdin=subprocess.PIPE,  # Closes when this process dies; the child then ends too.
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the search, which ends the child itself.
            )
            try:
                while child.poll() is None:
                    time.sleep(0.5)
                    candidate.watch()
                    _report_new(run, curve, report)
            finally:
                if child.poll() is None:
                    child.kill()
                child.wait()
                assert child.stdin is not None
                child.stdin.close()
                if not self.worker.keep_checkpoints:
                    shutil.rmtree(run.checkpoints, ignore_errors=True)
                    shutil.rmtree(run.tensorboard, ignore_errors=True)
        if child.returncode != 0 or not result.is_file():
            raise BrokenNetworkError(_reason(run.path / "train.log", child.returncode))
        _report_new(run, curve, report)
        built = json.loads(result.read_text())["parameters"]
        if built != candidate.parameters:
            raise BrokenNetworkError(
                f"the network has {built:,} parameters, and its table {candidate.parameters:,}"
            )
        if not curve:
            raise BrokenNetworkError("the training ended without a validation")
        return curve[max(curve)]

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ}
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if self.worker.threads is not None:
            for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
                environment[name] = str(self.worker.threads)
        # The package as found here, also where it is not installed.
        root = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [root, environment.get("PYTHONPATH")])
        )
        return environment


def trial_recipe(proxy: RunConfig, topology: Topology, folder: Path) -> RunConfig:
    """The proxy's run with another topology, in a folder of its own."""
    return replace(
        proxy,
        name=folder.name,
        output_dir=str(folder.parent),
        model=replace(proxy.model, options={**proxy.model.options, **topology.options}),
    )


def _report_new(run: RunDirectory, curve: dict[int, float], report: Report) -> None:
    """Reports validations that the run's log has and `curve` has not."""
    if not run.log.is_file():
        return
    with run.log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        epoch = int(row["epoch"]) + 1
        if row.get("val_mean_iou") and epoch not in curve:
            curve[epoch] = float(row["val_mean_iou"])
            report(epoch, curve[epoch])


def _reason(log: Path, returncode: int) -> str:
    """Why a process ended, from the last line that it wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1].strip()[-300:] if lines else "it wrote nothing"
    how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
    return f"the training process ended with {how}: {last}"


class StoppedError(Exception):
    """Ends a trial early; the message says what it fell behind."""


def hopeless(
    curve: Mapping[int, float],
    cost: float,
    peers: Iterable[tuple[Mapping[int, float], float]],
    rule: StoppingConfig,
) -> str | None:
    """Why a trial should end after its latest validation, or None.

    Optuna's pruners judge one objective. With two, a weak score is no reason: the network may be
    the best of those as cheap. So a trial is measured against peers that came as far and cost no
    more (with a little slack): below their quantile, it is behind networks that are as good or
    better in the other objective too. The cheapest have no peers, and run to their end.

    Args:
        curve: validation mIoU by epochs finished, of this trial.
        cost: its multiply-adds.
        peers: `(curve, cost)` of other trials, running or ended.
        rule: quantile, how many peers, slack, first epoch.
    """
    if not curve or not rule.quantile:
        return None
    epoch = max(curve)
    value = curve[epoch]
    if epoch < rule.from_epoch or math.isnan(value):
        return None
    scores = [
        other[epoch] for other, price in peers if epoch in other and price <= rule.cost_slack * cost
    ]
    if len(scores) < rule.peers:
        return None
    bound = float(np.quantile(scores, rule.quantile))
    if value >= bound:
        return None
    return (
        f"{100 * value:.1f} % after epoch {epoch}, below {100 * bound:.1f} %, the "
        f"{rule.quantile:g} quantile of {len(scores)} that cost no more"
    )
