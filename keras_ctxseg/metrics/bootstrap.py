"""How far a score would move with other images of the same kind: the bootstrap over images."""

from __future__ import annotations

import warnings

import numpy as np


def resample_images(images: int, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each image is drawn, when as many as there are are drawn with replacement.

    The same arguments give the same draws, so that two models can be compared image by image.

    Args:
        images: how many there are.
        resamples: how many draws.
        seed: of the draws.

    Returns:
        (resamples, images) int64; each row sums to `images`.

    Raises:
        ValueError: a number below 1.

    Reference: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    for name, value in (("images", images), ("resamples", resamples)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")
    generator = np.random.default_rng(seed)
    return generator.multinomial(images, np.full(images, 1.0 / images), size=resamples)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The middle `level` of the resampled values.

    Args:
        values: (resamples, ...); NaN where a resample has no such score, which is left out.
        level: share of the resamples inside, between 0 and 1.

    Returns:
        (..., 2) float64, lower and upper end; NaN where no resample has the score.
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1. Received: {level}")
    tails = [(1 - level) / 2, (1 + level) / 2]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.moveaxis(np.nanquantile(values, tails, axis=0), 0, -1)
