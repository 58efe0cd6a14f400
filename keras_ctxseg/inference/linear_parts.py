"""Bilinear resizing of a part of an image, as if the whole had been resized."""

from __future__ import annotations

import numpy as np

Span = tuple[int, int]


def source_span(target: Span, target_size: int, source_size: int) -> Span:
    """First source row and end of the rows that the target rows are interpolated from."""
    if target_size == source_size:
        return target
    low, high, _ = _taps(target, target_size, source_size)
    return int(low[0]), int(high[-1]) + 1


def resize_part(
    part: np.ndarray, rows: Span, columns: Span, target: tuple[int, int], source: tuple[int, int]
) -> np.ndarray:
    """Rows and columns of the resized image, by half-pixel centres and without antialiasing.

    Args:
        part: (height, width, channels) float32: the source's rows `source_span(rows, ...)` and
            columns `source_span(columns, ...)`.
        rows: first row of the result in the whole target, and the end.
        columns: likewise.
        target: height and width of the whole target.
        source: height and width of the whole source.

    Returns:
        (rows, columns, channels) float32; `part` itself where nothing changes.
    """
    for axis, span in enumerate((rows, columns)):
        if target[axis] == source[axis]:
            continue
        low, high, share = _taps(span, target[axis], source[axis])
        first = int(low[0])
        share = share.reshape([-1 if k == axis else 1 for k in range(part.ndim)])
        below, above = part.take(low - first, axis), part.take(high - first, axis)
        above -= below
        above *= share
        above += below
        part = above
    return part


def _taps(span: Span, target: int, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    centres = (np.arange(*span) + 0.5) * (source / target) - 0.5
    floor = np.floor(centres)
    low = np.clip(floor, 0, source - 1).astype(np.int64)
    high = np.clip(floor + 1, 0, source - 1).astype(np.int64)
    return low, high, (centres - floor).astype(np.float32)
