"""Policies for absent classes and the background, and sums over resampled images."""

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from keras_ctxseg.metrics import (
    ClassCounts,
    class_iou,
    percentile_interval,
    resample_images,
    scores_from_confusion,
    summary_scores,
)


def random_matrix(rng, classes, absent=()):
    matrix = rng.integers(0, 50, (classes, classes))
    matrix[list(absent)] = 0
    matrix[:, list(absent)] = 0
    return matrix


def test_policies_for_absent_classes(rng):
    matrix = random_matrix(rng, 7, absent=(2, 5))
    scores = scores_from_confusion(matrix)
    ious = [
        matrix[k, k] / (matrix[k].sum() + matrix[:, k].sum() - matrix[k, k])
        for k in (0, 1, 3, 4, 6)
    ]
    policies = scores.mean_iou_policies
    assert scores.mean_iou == policies["left_out"] == pytest.approx(np.mean(ious), rel=1e-12)
    assert policies["zero"] == pytest.approx(np.sum(ious) / 7, rel=1e-12)
    assert policies["without_background"] == policies["left_out"]
    assert policies["with_background"] == pytest.approx(np.sum(ious) / 6, rel=1e-12)
    accuracy = np.trace(matrix) / matrix.sum()
    assert scores.ade20k_score == pytest.approx((np.sum(ious) / 7 + accuracy) / 2, rel=1e-12)


def test_pascal_context_without_a_background_class_scales_by_59_60(rng):
    """EncNet: 52.6 over 59 classes is 51.7 over 60, the background counted 0."""
    policies = scores_from_confusion(
        random_matrix(rng, 59) + np.eye(59, dtype=int)
    ).mean_iou_policies
    assert policies["with_background"] == pytest.approx(policies["left_out"] * 59 / 60, rel=1e-12)


def test_pascal_context_with_a_background_class(rng):
    labels = rng.integers(0, 60, 4000)
    predictions = np.where(rng.random(4000) < 0.6, labels, rng.integers(0, 60, 4000))
    matrix = np.zeros((60, 60), int)
    np.add.at(matrix, (labels, predictions), 1)
    policies = scores_from_confusion(matrix, background=0).mean_iou_policies
    kept = labels != 0
    without = jaccard_score(labels[kept], predictions[kept], average=None, labels=range(1, 60))
    assert policies["without_background"] == pytest.approx(without.mean(), rel=1e-12)
    every = jaccard_score(labels, predictions, average="macro", labels=range(60))
    assert policies["with_background"] == pytest.approx(every, rel=1e-12)


@pytest.mark.parametrize("background", [None, 1])
def test_resampled_sums_are_those_of_repeated_images(rng, background):
    matrices = rng.integers(0, 9, (6, 4, 4))
    matrices[:3, 3] = matrices[:3, :, 3] = 0
    draws = resample_images(6, resamples=20, seed=3)
    drawn = summary_scores(ClassCounts.of(matrices, background).weighted(draws))
    for k, draw in enumerate(draws):
        repeated = np.repeat(matrices, draw, axis=0).sum(axis=0)
        expected = scores_from_confusion(repeated, background)
        assert drawn["mean_iou"][k] == pytest.approx(expected.mean_iou, rel=1e-12)
        assert drawn["ade20k_score"][k] == pytest.approx(expected.ade20k_score, rel=1e-12)
        for name, value in expected.mean_iou_policies.items():
            assert drawn[f"mean_iou_policies.{name}"][k] == pytest.approx(value, rel=1e-12)


def test_draws_repeat_and_are_fair():
    draws = resample_images(40, resamples=3000, seed=5)
    np.testing.assert_array_equal(draws, resample_images(40, resamples=3000, seed=5))
    assert (draws != resample_images(40, resamples=3000, seed=6)).any()
    assert (draws.sum(axis=1) == 40).all()
    # A count is binomial (40, 1/40): mean 1, variance 0.975; 5 standard errors.
    np.testing.assert_allclose(draws.mean(axis=0), 1.0, atol=5 * np.sqrt(0.975 / 3000))


def test_blocks_are_neighbours_and_fair():
    draws = resample_images(11, resamples=4000, seed=2, block=4)
    np.testing.assert_array_equal(draws, resample_images(11, resamples=4000, seed=2, block=4))
    assert (draws.sum(axis=1) == 11).all()
    # Blocks of 4, 4 and 3 that start anywhere: an image is in one by 4/11, 4/11 and 3/11.
    np.testing.assert_allclose(draws.mean(axis=0), 1.0, atol=5 * np.sqrt(0.7 / 4000))
    starts = np.random.default_rng(2).integers(11, size=(4000, 3))  # what the docstring says
    for draw, first in zip(draws[:50], starts, strict=False):
        places = [(start + k) % 11 for start in first for k in range(4)][:11]
        np.testing.assert_array_equal(draw, np.bincount(places, minlength=11))


def test_blocks_give_the_variance_of_neighbours_that_are_alike(rng):
    """The mean of 60 values in blocks of 15: a quarter of the variance of a block's mean."""
    values = np.repeat(rng.normal(size=6), 10)
    means = resample_images(60, resamples=20000, block=15) @ values / 60
    blocks = [np.mean(np.roll(values, -start)[:15]) for start in range(60)]
    assert means.var() == pytest.approx(np.var(blocks) / 4, rel=0.05)
    assert means.mean() == pytest.approx(values.mean(), abs=0.02)


@pytest.mark.parametrize("block", [0, 6])
def test_a_block_that_cannot_be_drawn_is_refused(block):
    with pytest.raises(ValueError, match=f"`block` must be at .*Received: {block}"):
        resample_images(11, block=block)


def test_interval_of_a_mean_is_the_normal_one(rng):
    """Bootstrap of a mean over 400 values against mean +- 1.96 standard errors."""
    values = rng.normal(3.0, 2.0, 400)
    draws = resample_images(400, resamples=4000)
    low, high = percentile_interval(draws @ values / 400)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_leave_out_resamples_without_the_score(recwarn):
    values = np.array([[0.1, np.nan], [0.3, np.nan], [np.nan, np.nan]])
    ends = percentile_interval(values, level=0.5)
    np.testing.assert_allclose(ends, [[0.15, 0.25], [np.nan, np.nan]])
    assert not recwarn.list


def test_absent_everywhere_is_nan():
    counts = ClassCounts.of(np.zeros((2, 3, 3), int))
    assert np.isnan(class_iou(counts)).all()
    assert all(np.isnan(value).all() for value in summary_scores(counts).values())


def test_errors():
    with pytest.raises(ValueError, match="`resamples` must be at least 1. Received: 0"):
        resample_images(4, resamples=0)
    with pytest.raises(ValueError, match="`images`"):
        resample_images(0)
    with pytest.raises(ValueError, match="`level`.*1.5"):
        percentile_interval(np.zeros((3,)), level=1.5)
