"""The same features from the same weights."""

import numpy as np

# One of 32·k + 1, where every padding agrees, one odd and one even otherwise.
SIZES = ((65, 97), (75, 48))
TOLERANCE = 1e-4


def images_of(rng, size):
    return rng.uniform(0, 255, (1, *size, 3)).astype("float32")


def check_agreement(found, expected, tolerance=TOLERANCE):
    """Checks arrays that are of order one: not all zero, not blown up, and alike."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert 0.1 < np.abs(expected).max() < 100
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
