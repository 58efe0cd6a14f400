"""Scores of runs under the same resampled images: what makes a difference of two of them paired."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_ctxseg.evaluation.comparison.scored_run import ScoredRun
from keras_ctxseg.metrics import class_iou, resample_images, summary_scores

METRICS = ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")
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
