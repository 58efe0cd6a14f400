"""Where windows lie along one axis, and what each of them weighs there."""

from __future__ import annotations

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
