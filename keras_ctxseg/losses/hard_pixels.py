"""Keep the hardest pixels of the global batch (online hard example mining by fraction)."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.maps import count_ids, widest_integer

PARTS = 10_000  # fractions are held to four decimal places
DIGITS = 256


def hardest_fraction(losses, valid, fraction: float):
    """Weights that select the hardest `ceil(fraction * number of valid pixels)` pixels.

    Ranked over the pixels of *all* replicas of a `tf.distribute` strategy: each weighs its own
    pixels by the loss of the last pixel that is kept anywhere. Pixels with exactly that loss share
    the places that are left, so the weights sum to the exact count over all replicas and do not
    depend on the order of the pixels. No gradient flows through the choice.

    That loss is found digit by digit from four counts of 256 bins, which, unlike pixels, are
    cheap to add up over replicas.

    Args:
        losses: (pixels,) float, at least 0; ranked in float32.
        valid: (pixels,) bool; the others are never chosen.
        fraction: in (0, 1].

    Returns:
        (pixels,) float in [0, 1], of the dtype of `losses`.

    Reference: the "top k % pixels" of Wu et al., "Bridging Category-level and Instance-level
    Semantic Image Segmentation", 2016.
    """
    dtype = losses.dtype
    # The bits of floats that are not negative order as the floats do. (A last axis of known size
    # is what `view` asks for in a graph.)
    ranked = ops.reshape(ops.cast(ops.stop_gradient(ops.abs(losses)), "float32"), (-1, 1))
    keys = ops.reshape(ops.view(ranked, dtype="int32"), (-1,))
    number_valid = _over_replicas(ops.sum(ops.cast(valid, widest_integer())))
    places_left = _ceil_of_product(fraction, number_valid)
    above, level = ops.zeros_like(valid), valid
    tied = number_valid
    for shift in (24, 16, 8, 0):
        digits = ops.bitwise_and(ops.right_shift(keys, shift), DIGITS - 1)
        counts = count_ids(ops.where(level, digits, DIGITS), DIGITS + 1)[:DIGITS]
        counts = _over_replicas(ops.cast(counts, widest_integer()))
        at_least = ops.flip(ops.cumsum(ops.flip(counts)))
        # The largest digit that enough pixels reach.
        digit = ops.sum(ops.cast(at_least >= places_left, "int32")) - 1
        tied = ops.take(counts, digit)
        places_left = places_left - (ops.take(at_least, digit) - tied)
        above = ops.logical_or(above, ops.logical_and(level, digits > digit))
        level = ops.logical_and(level, ops.equal(digits, digit))
    share = ops.divide_no_nan(ops.cast(places_left, dtype), ops.cast(tied, dtype))
    return ops.cast(above, dtype) + ops.cast(level, dtype) * share


def _ceil_of_product(fraction: float, count):
    # In integers: float32 neither holds every count nor keeps 0.1 * 10 from becoming 2.
    parts = round(fraction * PARTS)
    return (count // PARTS) * parts + ((count % PARTS) * parts + PARTS - 1) // PARTS


def _over_replicas(counts):
    if keras.backend.backend() != "tensorflow":
        return counts
    from keras_ctxseg.distribution.collectives import all_reduce_sum

    return all_reduce_sum([counts])[0]
