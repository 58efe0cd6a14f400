"""Scores of an image from overlapping windows, row by row, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from keras_ctxseg.inference.linear_parts import Span, resize_part, source_span
from keras_ctxseg.inference.window_grid import WindowAxis

MEAN_COLOR = (123.675, 116.28, 103.53)  # of ImageNet, RGB; what padding shows

Run = Callable[[np.ndarray], np.ndarray]


class WindowRows:
    """Blends the windows of one scale of one image from top to bottom.

    Only as many rows as a window is high, and as one call asks for, are in memory at a time.

    Args:
        image: (height, width, 3) RGB in 0 ... 255, at its own size; windows are scaled one by one.
        size: height and width of the scaled image.
        columns: the scaled image's columns that are wanted; windows beside them do not run.
        axes: the windows along height and width.
        run: from windows (batch, height, width, 3) float32 to their scores (..., classes) float32.
        batch_size: most windows that run together.
        most_rows: most rows that one call of `take` asks for.
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
    ):
        self._image = image
        self._size = size
        self._columns = columns
        self._axes = axes
        self._run = run
        self._batch_size = batch_size
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
        padded = np.empty((*window, 3), np.float32)
        padded[:] = MEAN_COLOR
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
