"""Scores of an image from overlapping windows, row by row, in bounded memory.

Windows are resized as parts of the whole image: bilinear resizing of a part equals that part of
the resized whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np


class WindowAxis:
    """Windows along the height or the width of an image.

    They begin every `stride` pixels; the last one ends with the image. Each has the same length.

    Args:
        size: of the image, in pixels.
        window: length of a window; longer than the image only where the image is padded.
        stride: from one window to the next.
        blend: "uniform", "gaussian" or "triangle".

    Attributes:
        starts: first pixel of each window.
        window: their length.
        weights: for each window (window,) float32. At every pixel of the image the weights of the
            windows over it sum to 1; a pixel under one window only has weight 1 exactly.
    """

    def __init__(self, size: int, window: int, stride: int, blend: str):
        last = max(size - window, 0)
        self.window = window
        self.starts = [*range(0, last, stride), last]
        profile = _profile(window, blend)
        total = np.zeros(max(size, window))
        for start in self.starts:
            total[start : start + window] += profile
        self.weights = [
            (profile / total[start : start + window]).astype(np.float32) for start in self.starts
        ]

    def over(self, first: int, last: int) -> list[int]:
        """Numbers of the windows that hold a pixel of `first` ... `last - 1`."""
        return [
            k for k, start in enumerate(self.starts) if start < last and start + self.window > first
        ]


def _profile(window: int, blend: str) -> np.ndarray:
    """(window,) positive weights, highest in the middle."""
    offsets = np.abs(np.arange(window) - (window - 1) / 2) / window  # 0 ... 1/2
    if blend == "gaussian":
        return np.maximum(np.exp(-0.5 * (8 * offsets) ** 2), 1e-3)
    if blend == "triangle":
        return 1 - 2 * offsets + 1 / window
    return np.ones(window)


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


MEAN_COLOR = (123.675, 116.28, 103.53)  # of ImageNet, RGB; what padding shows

Run = Callable[[np.ndarray], np.ndarray]


class WindowRows:
    """Blends the windows of one scale of one image from top to bottom.

    Only as many rows as a window is high, and as one call asks for, are in memory at a time.

    Args:
        image: (height, width, channels), at its own size; windows are scaled one by one.
        size: height and width of the scaled image.
        columns: the scaled image's columns that are wanted; windows beside them do not run.
        axes: the windows along height and width.
        run: from windows (batch, height, width, channels) float32 to their scores (..., classes)
            float32.
        batch_size: most windows that run together.
        most_rows: most rows that one call of `take` asks for.
        padding: a number a channel, which windows show beyond the image.
    """

    def __init__(
        self,
        image: np.ndarray,
        size: tuple[int, int],
        columns: Span,
        axes: tuple[WindowAxis, WindowAxis],
        run: Run,
        batch_size: int,
        most_rows: int,
        padding: Sequence[float] = MEAN_COLOR,
    ):
        self._image = image
        self._size = size
        self._columns = columns
        self._axes = axes
        self._run = run
        self._batch_size = batch_size
        self._padding = padding
        self._across = axes[1].over(*columns)
        self._height = axes[0].window + most_rows
        self._buffer: np.ndarray | None = None  # Its depth is known after the first window.
        self._base = 0  # the row of the scaled image that the buffer begins with
        self._next = 0  # the next row of windows to run

    def take(self, rows: Span) -> np.ndarray:
        """Scores of these rows, (rows, columns, classes) float32; a view, good until the next call.

        Neither end may lie above the one of the call before.
        """
        down = self._axes[0]
        while self._next < len(down.starts) and down.starts[self._next] < rows[1]:
            self._forget_rows_above(rows[0])
            self._add_windows(self._next)
            self._next += 1
        assert self._buffer is not None
        return self._buffer[rows[0] - self._base : rows[1] - self._base]

    def _forget_rows_above(self, row: int) -> None:
        drop = row - self._base
        if self._buffer is not None and drop > 0:
            kept = max(len(self._buffer) - drop, 0)
            self._buffer[:kept] = self._buffer[len(self._buffer) - kept :]
            self._buffer[kept:] = 0.0
            self._base = row

    def _add_windows(self, row: int) -> None:
        down, across = self._axes
        top = down.starts[row]
        for first in range(0, len(self._across), self._batch_size):
            chosen = self._across[first : first + self._batch_size]
            windows = np.stack([self._window(top, across.starts[k]) for k in chosen])
            for k, scores in zip(chosen, self._run(windows), strict=True):
                self._add(scores, down.weights[row], across.weights[k], top, across.starts[k])

    def _add(self, scores, down, across, top: int, left: int) -> None:
        if self._buffer is None:
            wide = self._columns[1] - self._columns[0]
            self._buffer = np.zeros((self._height, wide, scores.shape[-1]), np.float32)
        begin, end = max(left, self._columns[0]), min(left + len(across), self._columns[1])
        weights = down[:, None] * across[begin - left : end - left]
        y, x = top - self._base, begin - self._columns[0]
        target = self._buffer[y : y + len(down), x : x + end - begin]
        for line, part, weight in zip(target, scores[:, begin - left :], weights, strict=True):
            # Line by line, as products of whole windows would leave the processor's cache.
            line += part[: end - begin] * weight[:, None]

    def _window(self, top: int, left: int) -> np.ndarray:
        window = (self._axes[0].window, self._axes[1].window)
        rows = (top, min(top + window[0], self._size[0]))
        columns = (left, min(left + window[1], self._size[1]))
        part = image_part(self._image, rows, columns, self._size)
        if part.shape[:2] == window:
            return part
        padded = np.empty((*window, part.shape[-1]), np.float32)
        padded[:] = self._padding
        padded[: part.shape[0], : part.shape[1]] = part
        return padded


def image_part(image: np.ndarray, rows: Span, columns: Span, size: tuple[int, int]) -> np.ndarray:
    """Rows and columns of the image scaled to `size`, float32."""
    source = image.shape[:2]
    (top, bottom), (left, right) = (
        source_span(span, target, own)
        for span, target, own in zip((rows, columns), size, source, strict=True)
    )
    part = np.asarray(image[top:bottom, left:right], np.float32)
    return resize_part(part, rows, columns, size, source)


def spans(size: int, parts: int) -> Iterator[Span]:
    """Cuts 0 ... size into about equal parts."""
    bounds = np.linspace(0, size, parts + 1).round().astype(int).tolist()
    yield from itertools.pairwise(bounds)
