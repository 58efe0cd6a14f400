"""Images of other channels than RGB: what becomes of the first convolution's weights."""

import numpy as np


def spread_over_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Carries a first convolution for RGB over to images of other channels.

    Every channel gets the mean of the three kernels, times 3 / channels: an image whose channels
    are all alike then gives what the grey RGB image gives.

    Args:
        kernel: `(height, width, 3, filters)`.
        channels: Of the images.

    Returns:
        `(height, width, channels, filters)`.
    """
    mean = kernel.mean(axis=2, keepdims=True)
    return np.repeat(mean * (kernel.shape[2] / channels), channels, axis=2).astype(kernel.dtype)


def carried_over(channels: int) -> str:
    """Says what `spread_over_channels` has done, or nothing for RGB."""
    if channels == 3:
        return ""
    return f"first convolution: the mean over the colours, times 3/{channels}, for each channel"
