"""Centres of things: the peaks of a heat map."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from keras_ctxseg._grouping_options import GroupingOptions


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
    count = ops.sum(ops.cast(heights > options.threshold, "int32"))
    return Centers(ops.stack([indices // width, indices % width], axis=-1), heights, count)


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
