"""Resizes images, logits and label maps as `tf.image.resize` does, without TensorFlow.

Exported files run on machines that have only their runtime. Half-pixel centres throughout.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from keras_ctxseg.inference.windows import resize_part, source_span

Size = tuple[int, int]

STRIP_VALUES = 1 << 20  # of resized logits at a time: they stay in the processor's cache


def resized_image(image: np.ndarray, size: Size) -> np.ndarray:
    """An image brought to a file's input size: bilinear, antialiased where it shrinks.

    Integers are rounded, other numbers become float32. Calibration, comparison and prediction all
    use it. `tf.image.resize(antialias=True)` and rounding give the same, but for the rounding of
    float32 near halves.
    """
    if image.shape[:2] == size:
        return image
    integers = image.dtype.kind in "ui"
    resized = np.empty((*size, image.shape[-1]), image.dtype if integers else np.float32)
    for channel in range(image.shape[-1]):
        # As float32: Pillow rounds 8-bit images after each axis.
        plane = Image.fromarray(image[..., channel].astype(np.float32))
        plane = plane.resize(size[::-1], Image.Resampling.BILINEAR)
        resized[..., channel] = np.rint(np.asarray(plane)) if integers else np.asarray(plane)
    return resized


def resized_labels(labels: np.ndarray, size: Size) -> np.ndarray:
    """A label map (height, width) of another size, by the nearest pixel."""
    rows, columns = (
        _nearest(length, target) for length, target in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, np.newaxis], columns]


def labels_of_resized(logits: np.ndarray, size: Size) -> np.ndarray:
    """Class ids of logits that are resized bilinearly, without antialiasing; a strip at a time.

    Args:
        logits: float32 (height, width, classes).
        size: height and width of the result.

    Returns:
        int32 (height, width).
    """
    height, width = size
    source = logits.shape[:2]
    labels = np.empty(size, np.int32)
    step = max(1, STRIP_VALUES // (width * logits.shape[-1]))
    columns = (0, width)
    left, right = source_span(columns, width, source[1])
    for top in range(0, height, step):
        rows = (top, min(top + step, height))
        first, last = source_span(rows, height, source[0])
        part = resize_part(logits[first:last, left:right], rows, columns, size, source)
        labels[slice(*rows)] = part.argmax(axis=-1)
    return labels


def _nearest(length: int, target: int) -> np.ndarray:
    """Index of the pixel at whose place each new pixel's centre lies; in float32, as TensorFlow."""
    step = np.float32(length) / np.float32(target)
    centres = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * step
    return np.minimum(np.floor(centres).astype(np.int64), length - 1)
