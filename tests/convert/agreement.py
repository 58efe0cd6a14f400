"""The same features from the same weights."""

import numpy as np

# One of 32·k + 1, where every padding agrees, one odd and one even otherwise.
SIZES = ((65, 33), (43, 48))
TOLERANCE = 1e-4


def images_of(rng, size):
    return rng.uniform(0, 255, (1, *size, 3)).astype("float32")


def check_agreement(found, expected, tolerance=TOLERANCE):
    """Checks arrays that are alike and, where they are maps, not flat.

    Small normalisations would let biases drown the image, and then anything agrees. The tolerance
    is in units of the features' deviation, where that is above one: residual sums grow, and float32
    rounds in proportion.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert 0.1 < np.abs(expected).max() < 1e4
    if expected.ndim == 4:
        assert expected.std(axis=(1, 2)).mean() > 0.05 * expected.std()
    atol = tolerance * max(1.0, float(expected.std()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
