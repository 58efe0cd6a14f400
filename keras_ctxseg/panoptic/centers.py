"""Centres of things: the peaks of a heat map."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_ctxseg.panoptic.options import GroupingOptions


class Centers(NamedTuple):
    """Peaks, the highest first.

    Attributes:
        places: int32 (max_instances, 2), row and column.
        heights: float32 (max_instances,), the heat map's values there.
        count: int32 scalar; the entries from here on are no centres.
    """

    places: Any
    heights: Any
    count: Any


def find_centers(heatmap, options: GroupingOptions) -> Centers:
    """Peaks of a heat map: values above the threshold that no value around them exceeds.

    Of equal values in each other's windows the first alone is a peak: a plain is one thing.

    Args:
        heatmap: float32 (height, width).
        options: `threshold`, `window`, `max_instances`.

    Reference: Cheng et al., "Panoptic-DeepLab", arXiv 1911.10194, section 3.3 (keypoint-based
    instance representation: 7×7 non-maximum suppression, threshold 0.1, top 200).
    """
    width = ops.shape(heatmap)[1]
    largest = _maximum_around(_maximum_around(heatmap, options.window, 0), options.window, 1)
    is_peak = ops.logical_and(ops.equal(heatmap, largest), heatmap > options.threshold)
    flat = ops.reshape(ops.where(is_peak, heatmap, -1.0), (-1,))
    # No map is too small to have so many pixels.
    flat = ops.pad(flat, ((0, options.max_instances),), constant_values=-1.0)
    heights, indices = ops.top_k(flat, options.max_instances)
    indices = ops.cast(indices, "int32")
    places = ops.stack([indices // width, indices % width], axis=-1)
    # Peaks in each other's windows are of one height; they stand in the order of their pixels.
    reach = (options.window - 1) // 2
    earlier = np.tri(options.max_instances, k=-1, dtype=bool)
    close = ops.all(ops.abs(places[:, None] - places[None]) <= reach, axis=-1)
    repeated = ops.any(ops.logical_and(close, earlier), axis=1)
    kept = ops.logical_and(heights > options.threshold, ops.logical_not(repeated))
    heights, order = ops.top_k(ops.where(kept, heights, -1.0), options.max_instances)
    count = ops.sum(ops.cast(kept, "int32"))
    return Centers(ops.take(places, order, axis=0), heights, count)


def _maximum_around(x, window: int, axis: int):
    """The largest of `window` values along an axis, centred; log2(window) passes over the map."""
    reach = (window - 1) // 2
    size = ops.shape(x)[axis]
    paddings = [[0, 0], [0, 0]]
    paddings[axis] = [reach, reach]
    x = ops.pad(x, paddings, constant_values=-float("inf"))
    covered = 1
    while covered < window:
        step = min(covered, window - covered)
        length = size + 2 * reach - (covered + step - 1)
        x = ops.maximum(_cut(x, 0, length, axis), _cut(x, step, length, axis))
        covered += step
    return x


def _cut(x, start: int, length, axis: int):
    return x[start : start + length] if axis == 0 else x[:, start : start + length]
