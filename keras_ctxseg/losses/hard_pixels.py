"""Keep the hardest pixels of a batch (online hard example mining by fraction)."""

from __future__ import annotations

from keras import ops

PARTS = 10_000  # fractions are held to four decimal places


def hardest_fraction(losses, valid, fraction: float):
    """Weights that select the hardest `ceil(fraction * number of valid pixels)` pixels.

    One sort finds the loss of the last pixel that is kept. Pixels with exactly that loss share
    the places that are left, so the weights sum to the exact count and do not depend on the
    order of the pixels. No gradient flows through the choice.

    Args:
        losses: (pixels,) float, at least 0.
        valid: (pixels,) bool; the others are never chosen.
        fraction: in (0, 1].

    Returns:
        (pixels,) float in [0, 1], of the dtype of `losses`.

    Reference: the "top k % pixels" of Wu et al., "Bridging Category-level and Instance-level
    Semantic Image Segmentation", 2016.
    """
    dtype = losses.dtype
    keys = ops.stop_gradient(ops.where(valid, losses, -ops.ones_like(losses)))
    kept = _ceil_of_product(fraction, ops.sum(ops.cast(valid, "int32")))
    ascending = ops.sort(keys)
    # With no valid pixel at all, `kept` is 0; the index then points at some ignored pixel.
    last = ops.shape(ascending)[0] - ops.maximum(kept, 1)
    threshold = ops.take(ascending, last, axis=0)
    above = ops.logical_and(valid, keys > threshold)
    level = ops.logical_and(valid, ops.equal(keys, threshold))
    places_left = kept - ops.sum(ops.cast(above, "int32"))
    tied = ops.sum(ops.cast(level, "int32"))
    share = ops.divide_no_nan(ops.cast(places_left, dtype), ops.cast(tied, dtype))
    return ops.cast(above, dtype) + ops.cast(level, dtype) * share


def _ceil_of_product(fraction: float, count):
    # In integers: float32 neither holds every count nor keeps 0.1 * 10 from becoming 2.
    parts = round(fraction * PARTS)
    return (count // PARTS) * parts + ((count % PARTS) * parts + PARTS - 1) // PARTS
