"""Folding what our layers do not have into the statistics of a normalisation. Exact."""

import numpy as np

from keras_ctxseg.convert.layer_weights import Brick


def fold(values: dict[str, np.ndarray], brick: Brick, epsilon: float) -> None:
    """Folds a convolution's bias and another epsilon into the normalisation behind it, in place.

    A bias b before a normalisation moves its mean: (x + b) − μ = x − (μ − b). Another epsilon is
    made up for in the variance, σ² + ε_theirs = (σ² + ε_theirs − ε_ours) + ε_ours, and, for the
    channels whose variance would turn negative, in γ. At inference both are exact; in training,
    statistics are the batch's, and γ of all other channels is what it was.

    Args:
        values: `{our weight: array}` of one brick; `bias` is taken out if it has no place there.
        brick: Ours.
        epsilon: Theirs.
    """
    if not brick.norm:
        return
    if "bias" in values and "bias" not in brick.layer:
        values["moving_mean"] = values["moving_mean"] - values.pop("bias")
    if epsilon == brick.epsilon:
        return
    variance = values["moving_variance"].astype("float64")
    total = variance + epsilon
    ours = np.maximum(total - brick.epsilon, 0.0)
    gamma = values["gamma"] * np.sqrt((ours + brick.epsilon) / total)
    values["moving_variance"] = ours.astype("float32")
    values["gamma"] = gamma.astype("float32")
