"""Which of several evaluations is better, and whether the images can tell."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.evaluation.comparison.grouping import recipe_groups
from keras_ctxseg.evaluation.comparison.resampling import (
    IMAGE_METRIC,
    METRICS,
    group_scores,
    run_scores,
)
from keras_ctxseg.evaluation.comparison.scored_run import (
    ScoredRun,
    check_comparable,
    find_scores,
    read_scored_run,
)
from keras_ctxseg.metrics import percentile_interval

SCORES = (*METRICS, IMAGE_METRIC)
UNDECIDED = "not told apart"


@dataclass(frozen=True)
class Estimate:
    """A figure with the interval that resampling gives it; NaN where there is none.

    Attributes:
        value: of the images as they are.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero; of a difference: whether its sign is sure."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Group:
    """One run, or several of one recipe.

    Attributes:
        name: for tables.
        runs: its evaluations.
        scores: mean over the runs, by the name of the score.
        spread: standard deviation over the runs (n - 1), by the name; NaN for a single run.
        class_iou: one entry for each class.
        image_iou: (images,) mean over the runs of each image's own mean IoU.
    """

    name: str
    runs: tuple[ScoredRun, ...]
    scores: dict[str, Estimate]
    spread: dict[str, float]
    class_iou: tuple[Estimate, ...]
    image_iou: np.ndarray


@dataclass(frozen=True, eq=False)
class Pair:
    """What a group gains over another one.

    Attributes:
        baseline: name of the group that was given first.
        other: name of the other one.
        scores: other - baseline, by the name of the score.
        class_iou: other - baseline, one entry for each class.
    """

    baseline: str
    other: str
    scores: dict[str, Estimate]
    class_iou: tuple[Estimate, ...]

    @property
    def verdict(self) -> str:
        """In words, by the mean IoU."""
        gain = self.scores["mean_iou"]
        if not gain.decided:
            return UNDECIDED
        better, worse = (self.other, self.baseline) if gain.value > 0 else (
            self.baseline, self.other)  # fmt: skip
        return f"{better} beats {worse}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups and all their pairs, over the same images.

    Attributes:
        groups: in the order given.
        pairs: each two of them; differences are the later minus the earlier one.
        class_names: in the order of the ids.
        images: names, in the order of the examples.
        disagreement: (images,) largest minus smallest `image_iou` over the groups.
        level: of the intervals.
        resamples: behind them.
        seed: of the resamples.
    """

    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    class_names: tuple[str, ...]
    images: tuple[str, ...]
    disagreement: np.ndarray
    level: float
    resamples: int
    seed: int

    def most_disputed(self, count: int = 8) -> list[int]:
        """Places of the images with the largest disagreement, the largest first."""
        known = np.flatnonzero(~np.isnan(self.disagreement))
        order = known[np.argsort(-self.disagreement[known], kind="stable")]
        return [int(place) for place in order[:count]]

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python values; None stands where a score does not exist."""
        names = self.class_names
        return {
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "images": len(self.images),
            "groups": [
                {
                    "name": group.name,
                    "runs": [str(run.path) for run in group.runs],
                    "protocol": group.runs[0].protocol,
                    "scores": {key: _plain(one) for key, one in group.scores.items()},
                    "spread": {key: _number(value) for key, value in group.spread.items()},
                    "class_iou": dict(zip(names, map(_plain, group.class_iou), strict=True)),
                }
                for group in self.groups
            ],
            "pairs": [
                {
                    "baseline": pair.baseline,
                    "other": pair.other,
                    "verdict": pair.verdict,
                    "scores": {key: _plain(one) for key, one in pair.scores.items()},
                    "class_iou": dict(zip(names, map(_plain, pair.class_iou), strict=True)),
                }
                for pair in self.pairs
            ],
            "disagreement": [
                {
                    "image": self.images[place],
                    "difference": float(self.disagreement[place]),
                    "mean_iou": {
                        group.name: _number(group.image_iou[place]) for group in self.groups
                    },
                }
                for place in self.most_disputed(len(self.images))
            ],
        }

    def to_json(self, path: str | os.PathLike) -> Path:
        """Writes `to_dict` as JSON."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path


def compare(
    runs: Sequence[str | os.PathLike] | Mapping[str, Sequence[str | os.PathLike]],
    split: str | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    any_protocol: bool = False,
) -> Comparison:
    """Compares evaluations of the same images by paired resampling of those images.

    Runs of one recipe that differ in their seed form a group, whose score is their mean.

    Args:
        runs: folders of runs that `ctxseg evaluate` scored, or `scores.json` files; or groups of
            them by name. The first is the baseline of the others.
        split: which evaluation, where runs have several.
        resamples: of the images.
        level: of the intervals, each for itself; they are not widened for being many.
        seed: of the resamples.
        any_protocol: compare also what was predicted by different protocols.

    Raises:
        ValueError: fewer than two groups, a run without scores, one run given twice, or scores on
            other classes, images, label maps or protocols; names the files.
    """
    if isinstance(runs, Mapping):
        named = {
            name: [read_scored_run(find_scores(run, split)) for run in members]
            for name, members in runs.items()
        }
    else:
        named = recipe_groups([read_scored_run(find_scores(run, split)) for run in runs])
    together = [run for members in named.values() for run in members]
    times = Counter(run.path.resolve() for run in together)
    repeated = [str(path) for path, count in times.items() if count > 1]
    if repeated:
        raise ValueError(f"{repeated[0]}: given more than once")
    if len(named) < 2:
        raise ValueError(
            "A comparison needs two runs or groups of runs. Received: "
            + (", ".join(f"{name} ({len(runs)} runs)" for name, runs in named.items()) or "none")
        )
    check_comparable(together, any_protocol)
    if len(together[0].images) < 2:
        raise ValueError(f"{together[0].path}: expected two images or more. Found fewer")
    resampled = group_scores(list(named.values()), resamples, seed)
    groups = tuple(
        _group(name, members, values, level)
        for (name, members), values in zip(named.items(), resampled, strict=True)
    )
    pairs = tuple(
        _pair(groups[a], groups[b], resampled[a], resampled[b], level)
        for a, b in combinations(range(len(groups)), 2)
    )
    own = np.stack([group.image_iou for group in groups])
    return Comparison(
        groups=groups,
        pairs=pairs,
        class_names=together[0].class_names,
        images=together[0].images,
        disagreement=own.max(axis=0) - own.min(axis=0),
        level=level,
        resamples=resamples,
        seed=seed,
    )


def _group(name: str, runs: Sequence[ScoredRun], resampled: dict, level: float) -> Group:
    once = np.ones((1, len(runs[0].images)), np.int64)
    scores = [run_scores(run, once) for run in runs]
    values = {key: np.stack([one[key][0] for one in scores]) for key in scores[0]}
    intervals = {key: percentile_interval(resampled[key], level) for key in values}
    several = len(runs) > 1
    return Group(
        name=name,
        runs=tuple(runs),
        scores={key: _estimate(values[key].mean(), intervals[key]) for key in SCORES},
        spread={key: float(values[key].std(ddof=1)) if several else np.nan for key in SCORES},
        class_iou=tuple(
            map(_estimate, values["per_class_iou"].mean(axis=0), intervals["per_class_iou"])
        ),
        image_iou=np.stack([run.mean_ious for run in runs]).mean(axis=0),
    )


def _pair(baseline: Group, other: Group, first: dict, second: dict, level: float) -> Pair:
    intervals = {key: percentile_interval(second[key] - first[key], level) for key in first}
    classes = zip(baseline.class_iou, other.class_iou, strict=True)
    return Pair(
        baseline=baseline.name,
        other=other.name,
        scores={
            key: _estimate(other.scores[key].value - baseline.scores[key].value, intervals[key])
            for key in SCORES
        },
        class_iou=tuple(
            _estimate(b.value - a.value, interval)
            for (a, b), interval in zip(classes, intervals["per_class_iou"], strict=True)
        ),
    )


def _estimate(value: float, interval: np.ndarray) -> Estimate:
    return Estimate(float(value), float(interval[0]), float(interval[1]))


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": _number(estimate.value),
        "interval": [_number(estimate.low), _number(estimate.high)],
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
