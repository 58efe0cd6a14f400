"""What was kept, gathered by recipe, and compared."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bakeoff_parts.plan import Job, Plan
from bakeoff_parts.runs import Kept
from keras_ctxseg.evaluation import compare
from keras_ctxseg.evaluation.comparison import Estimate
from keras_ctxseg.evaluation.comparison.paired import group_scores
from keras_ctxseg.evaluation.comparison.scored_run import read_scored_run
from keras_ctxseg.metrics import percentile_interval


@dataclass(frozen=True)
class Time:
    """A time, and the processor that it was taken on: times of two processors do not compare."""

    value: float
    processor: str


@dataclass(frozen=True)
class System:
    """The finished runs of one recipe.

    Attributes:
        recipe: its name.
        model: name of the network.
        scores: files, one for each seed.
        outcomes: as kept, in the same order.
        speed: as `speed.measure` kept it, or None.
    """

    recipe: str
    model: str
    scores: Sequence[Path]
    outcomes: Sequence[Mapping]
    speed: Mapping | None

    @property
    def giga(self) -> float:
        """10⁹ multiply-adds of one image."""
        return self.outcomes[0]["multiply_adds"] / 1e9

    @property
    def minutes(self) -> Time:
        """Of processor time in training, mean over the runs on the processor of most of them."""
        processors = [one["machine"]["processor"] for one in self.outcomes]
        most = statistics.mode(processors)
        seconds = [
            one["processor_seconds"]
            for one, processor in zip(self.outcomes, processors, strict=True)
            if processor == most
        ]
        return Time(statistics.mean(seconds) / 60, most)

    @cached_property
    def class_iou(self) -> Sequence[Mapping[str, float]]:
        """IoU by class, for each run."""
        files = [json.loads(path.read_text(encoding="utf-8")) for path in self.scores]
        return [{entry["name"]: entry["iou"] for entry in file["classes"]} for file in files]

    def milliseconds(self, form: str) -> Time | None:
        """Of the fastest call in a form, if it was measured."""
        if self.speed is None:
            return None
        minimum = self.speed["forms"][form]["minimum"]
        return Time(1e3 * minimum, self.speed["machine"]["processor"])


@dataclass(frozen=True)
class Score:
    """mIoU of a system in 0...1: mean over its runs with an interval, and their deviation."""

    mean: Estimate
    spread: float


@dataclass(frozen=True)
class Results:
    """Everything that is known of one data set.

    Attributes:
        systems: with a finished run, in the plan's order.
        scores: by recipe.
        class_iou: by recipe, mean over the runs, by class.
        differences: other - baseline, by (baseline, other), each order of each two.
        missing: jobs that are not finished, or of another recipe than today's.
    """

    systems: Sequence[System]
    scores: Mapping[str, Score]
    class_iou: Mapping[str, Mapping[str, float]]
    differences: Mapping[tuple[str, str], Estimate]
    missing: Sequence[Job]

    def milliseconds(self, form: str) -> Mapping[str, float]:
        """Of the fastest call, by recipe; empty unless all were measured on one processor."""
        times = {one.recipe: one.milliseconds(form) for one in self.systems}
        values = {recipe: time.value for recipe, time in times.items() if time}
        processors = {time.processor for time in times.values() if time}
        return values if len(values) == len(times) and len(processors) == 1 else {}


def gather(plan: Plan, data: str, root: Path) -> Results:
    """Reads what was kept of a data set and compares its systems."""
    systems, missing = [], []
    for recipe in plan.recipes(data):
        finished = []
        for job in (one for one in plan.jobs if (one.data, one.recipe) == (data, recipe)):
            kept = Kept(root, job)
            if kept.is_whole() and kept.fits(plan.config(job)):
                finished.append((job, kept))
            else:
                missing.append(job)
        if finished:
            speed = root / data / recipe / "speed.json"
            systems.append(
                System(
                    recipe,
                    plan.config(finished[0][0]).model.name,
                    [kept.scores for _, kept in finished],
                    [json.loads(kept.outcome.read_text("utf-8")) for _, kept in finished],
                    json.loads(speed.read_text("utf-8")) if speed.is_file() else None,
                )
            )
    if len(systems) > 1:
        return Results(systems, *_compared(systems, plan.data[data].block), missing)
    return Results(systems, *_alone(systems, plan.data[data].block), missing)


def _compared(systems: Sequence[System], block: int):
    comparison = compare({one.recipe: list(map(str, one.scores)) for one in systems}, block=block)
    scores = {
        group.name: Score(group.scores["mean_iou"], group.spread["mean_iou"])
        for group in comparison.groups
    }
    class_iou = {
        group.name: {
            name: one.value
            for name, one in zip(comparison.class_names, group.class_iou, strict=True)
        }
        for group in comparison.groups
    }
    differences = {}
    for pair in comparison.pairs:
        gain = pair.scores["mean_iou"]
        differences[pair.baseline, pair.other] = gain
        differences[pair.other, pair.baseline] = Estimate(-gain.value, -gain.high, -gain.low)
    return scores, class_iou, differences


def _alone(systems: Sequence[System], block: int):
    """A single system has nothing to be compared with; its interval is drawn in the same way."""
    scores, class_iou = {}, {}
    for one in systems:
        values = [json.loads(path.read_text(encoding="utf-8"))["mean_iou"] for path in one.scores]
        (drawn,) = group_scores([list(map(read_scored_run, one.scores))], 2000, 0, block)
        low, high = map(float, percentile_interval(drawn["mean_iou"]))
        scores[one.recipe] = Score(
            Estimate(statistics.mean(values), low, high),
            statistics.stdev(values) if len(values) > 1 else float("nan"),
        )
        class_iou[one.recipe] = {
            name: statistics.mean(run[name] for run in one.class_iou) for name in one.class_iou[0]
        }
    return scores, class_iou, {}
