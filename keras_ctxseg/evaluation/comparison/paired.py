"""Which of several evaluations is better, and whether the images can tell.

Runs of one recipe with several seeds are grouped.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import yaml

from keras_ctxseg.evaluation.comparison.result import Comparison, Estimate, Group, Pair
from keras_ctxseg.evaluation.comparison.scored_run import (
    ScoredRun,
    check_comparable,
    find_scores,
    read_scored_run,
)
from keras_ctxseg.metrics import class_iou, percentile_interval, resample_images, summary_scores


def compare(
    runs: Sequence[str | os.PathLike] | Mapping[str, Sequence[str | os.PathLike]],
    split: str | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    any_protocol: bool = False,
    block: int = 1,
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
        block: images in a row that are drawn together: for frames of a video, as many as stay
            alike. In the order of the examples.

    Raises:
        ValueError: fewer than two groups, a block of more than half of the images, a run without
            scores, one run given twice, or scores on other classes, images, label maps or
            protocols; names the files.
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
    resampled = group_scores(list(named.values()), resamples, seed, block)
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
        block=block,
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


def recipe_groups(runs: Sequence[ScoredRun]) -> dict[str, list[ScoredRun]]:
    """Runs by recipe, in the order given; a run without a recipe stands for itself.

    A recipe is what `config.yaml` says on model, data, augmentation and training without the seed
    and without where files lie; the protocol of the evaluation belongs to it.
    """
    groups: dict[str, list[ScoredRun]] = {}
    for run in runs:
        groups.setdefault(_recipe(run), []).append(run)
    times = Counter(_name(members) for members in groups.values())
    named: dict[str, list[ScoredRun]] = {}
    for members in groups.values():
        name, number = _name(members), 1
        if times[name] > 1:  # one network by two protocols, in two folders
            name = f"{name}/{members[0].path.absolute().parent.name}"
        first = name
        while name in named:
            number += 1
            name = f"{first} #{number}"
        named[name] = members
    return named


def _recipe(run: ScoredRun) -> str:
    if run.folder is None:
        return str(run.path.resolve())
    with (run.folder / "config.yaml").open(encoding="utf-8") as file:
        config = yaml.safe_load(file) or {}
    data = _without(config.get("data"), "cache")
    kept = {
        "model": config.get("model"),
        "data": {**data, "options": _without(data.get("options"), "path")},
        "augmentation": config.get("augmentation"),
        "training": _without(config.get("training"), "seed"),
        "protocol": run.protocol,
    }
    return json.dumps(kept, sort_keys=True, default=str)


def _without(section: dict | None, key: str) -> dict:
    return {name: value for name, value in (section or {}).items() if name != key}


def _name(members: Sequence[ScoredRun]) -> str:
    names = [run.name for run in members]
    if len(names) == 1:
        return names[0]
    # "ksac_seed0" and "ksac_seed1" are "ksac".
    stems = {re.sub(r"[_-]((seed|run|s)[_-]?)?\d+$", "", name) for name in names}
    return stems.pop() if len(stems) == 1 else names[0]


METRICS = (
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "mean_precision",
    "mean_f1",
    "frequency_weighted_iou",
)
IMAGE_METRIC = "mean_image_iou"
SCORES = (*METRICS, IMAGE_METRIC)


def run_scores(run: ScoredRun, multiplicities: np.ndarray) -> dict[str, np.ndarray]:
    """A run's scores over weighted images.

    Args:
        run: what was counted.
        multiplicities: (resamples, images), how often each image counts.

    Returns:
        The `METRICS` and `mean_image_iou`, (resamples,) each, and `per_class_iou`,
        (resamples, classes); NaN where a resample shows nothing of the kind.
    """
    counts = run.counts.weighted(multiplicities)
    scores = summary_scores(counts)
    known = ~np.isnan(run.mean_ious)
    with np.errstate(invalid="ignore"):
        own = multiplicities @ np.where(known, run.mean_ious, 0.0) / (multiplicities @ known)
    return {
        **{name: scores[name] for name in METRICS},
        IMAGE_METRIC: own,
        "per_class_iou": class_iou(counts),
    }


def group_scores(
    groups: Sequence[Sequence[ScoredRun]], resamples: int, seed: int, block: int = 1
) -> list[dict[str, np.ndarray]]:
    """Resampled scores of groups of runs, the mean over a group's runs.

    The images of a resample are the same for all runs. Of a group of several runs (seeds of one
    recipe) the runs are resampled too, each group on its own, so that its scores also vary as they
    would with other seeds. The mean of n runs drawn with replacement from n varies by (n - 1) / n
    too little, which a factor of sqrt(n / (n - 1)) on its deviation makes good.

    Args:
        groups: of comparable runs.
        resamples: how many.
        seed: of the draws.
        block: images in a row that are drawn together.

    Returns:
        For each group, what `run_scores` returns.
    """
    multiplicities = resample_images(len(groups[0][0].images), resamples, seed, block)
    generator = np.random.default_rng([seed, 1])
    results = []
    for runs in groups:
        scores = [run_scores(run, multiplicities) for run in runs]
        stacked = {name: np.stack([one[name] for one in scores]) for name in scores[0]}
        means = {name: values.mean(axis=0) for name, values in stacked.items()}
        count = len(runs)
        if count > 1:
            drawn = generator.multinomial(count, np.full(count, 1 / count), size=resamples) / count
            spread = np.sqrt(count / (count - 1))
            for name, values in stacked.items():
                redrawn = np.einsum("rn,nr...->r...", drawn, values)
                means[name] += spread * (redrawn - means[name])
        results.append(means)
    return results
