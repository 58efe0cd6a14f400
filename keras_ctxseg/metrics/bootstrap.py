"""How far a score would move with other images of the same kind: the bootstrap over images."""

from __future__ import annotations

import warnings

import numpy as np


def resample_images(
    images: int, resamples: int = 1000, seed: int = 0, block: int = 1
) -> np.ndarray:
    """How often each image is drawn, when as many as there are are drawn with replacement.

    The same arguments give the same draws, so that two models can be compared image by image.
    Frames of a video are alike from one to the next, and drawn one by one they would pass for more
    images than they are worth. Blocks of neighbours that are as long as frames stay alike keep what
    ties them together.

    Args:
        images: how many there are.
        resamples: how many draws.
        seed: of the draws.
        block: images in a row that are drawn together. They start anywhere; the first image follows
            the last one, so that all are drawn equally often. The last block of a draw is cut where
            there are images enough.

    Returns:
        (resamples, images) int64; each row sums to `images`.

    Raises:
        ValueError: a number below 1, or a block of more than half of the images, of which no two
            would fit into a draw.

    Reference: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; for
    blocks Politis and Romano, "A circular block-resampling procedure for stationary data", in
    "Exploring the Limits of Bootstrap", 1992.
    """
    for name, value in (("images", images), ("resamples", resamples)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")
    generator = np.random.default_rng(seed)
    check_block(images, block)
    if block == 1:
        return generator.multinomial(images, np.full(images, 1.0 / images), size=resamples)
    starts = generator.integers(images, size=(resamples, -(-images // block), 1))
    drawn = (starts + np.arange(block)).reshape(resamples, -1)[:, :images] % images
    cells = drawn + images * np.arange(resamples)[:, np.newaxis]
    return np.bincount(cells.ravel(), minlength=resamples * images).reshape(resamples, images)


def check_block(images: int, block: int) -> None:
    """Raises `ValueError` for a block below 1, or one of which no two fit into a draw."""
    if block < 1:
        raise ValueError(f"`block` must be at least 1. Received: {block}")
    if block > 1 and 2 * block > images:
        raise ValueError(
            f"`block` must be at most {images // 2}, half of the {images} images. Received: {block}"
        )


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
