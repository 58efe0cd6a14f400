"""Reliability bins and calibration errors against a loop over pixels."""

import numpy as np
import pytest

from keras_ctxseg.metrics import CalibrationCounts, calibration_counts, calibration_errors


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_bins_and_errors_equal_a_loop(rng, bins):
    confidence = rng.random(500).astype("float32")
    right = rng.random(500) < confidence**2
    counts = calibration_counts(confidence, right, bins)
    expected, largest = 0.0, 0.0
    for k in range(bins):
        inside = (confidence >= k / bins) & (confidence < (k + 1) / bins)
        assert counts.pixels[k] == inside.sum()
        assert counts.right[k] == right[inside].sum()
        assert counts.confidence[k] == pytest.approx(confidence[inside].sum(dtype="float64"))
        if inside.any():
            gap = abs(confidence[inside].mean(dtype="float64") - right[inside].mean())
            expected += gap * inside.mean()
            largest = max(largest, gap)
    found = calibration_errors(counts)
    assert found[0] == pytest.approx(expected, abs=1e-9)
    assert found[1] == pytest.approx(largest, abs=1e-9)


def test_certainty_falls_into_the_last_bin_and_edges_into_the_upper_one():
    counts = calibration_counts(np.array([1.0, 0.5, 0.0]), np.array([True, False, True]), bins=2)
    np.testing.assert_array_equal(counts.pixels, [1, 2])
    np.testing.assert_array_equal(counts.right, [1, 1])


def test_a_calibrated_network_has_a_small_error(rng):
    confidence = rng.uniform(0.3, 1.0, 200_000)
    counts = calibration_counts(confidence, rng.random(200_000) < confidence)
    assert calibration_errors(counts)[0] < 0.006  # 15 bins, each's mean known to about 0.004


def test_sums_over_resampled_images(rng):
    images = [calibration_counts(rng.random(50), rng.random(50) < 0.5) for _ in range(4)]
    stacked = CalibrationCounts(*(np.stack(parts) for parts in zip(*images, strict=True)))
    draws = np.array([[2, 0, 1, 1], [0, 4, 0, 0]])
    drawn = calibration_errors(stacked.weighted(draws))[0]
    assert drawn[1] == pytest.approx(calibration_errors(images[1])[0], rel=1e-12)
    repeated = [images[k] for k in (0, 0, 2, 3)]
    total = CalibrationCounts(*(sum(parts) for parts in zip(*repeated, strict=True)))
    assert drawn[0] == pytest.approx(calibration_errors(total)[0], rel=1e-12)


def test_nothing_and_nonsense(recwarn):
    empty = calibration_counts(np.zeros(0), np.zeros(0, bool))
    assert np.isnan(calibration_errors(empty)).all()
    assert not recwarn.list
    with pytest.raises(ValueError, match=r"`confidence` must lie in 0 \.\.\. 1.*1.5"):
        calibration_counts(np.array([1.5]), np.array([True]))
