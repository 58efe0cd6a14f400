"""Segments over their image: the classes' colours, and a line around each thing."""

from __future__ import annotations

import numpy as np

from keras_ctxseg._panoptic_labels import class_ids
from keras_ctxseg.data.palettes import overlay

LINE = np.array([255, 255, 255], np.uint8)


def contour_mask(labels: np.ndarray) -> np.ndarray:
    """Pixels of things that lie beside another segment: bool (height, width).

    The line is one pixel wide, on the inside, for an image of up to 400 pixels, and wider for
    larger ones. The edge of the image is no border.

    Args:
        labels: integer (height, width), panoptic label map.
    """
    border = np.zeros(labels.shape, bool)
    for _ in range(max(1, round(min(labels.shape) / 400))):
        grown = border.copy()
        for axis in (0, 1):
            here, there = (
                tuple(part if k == axis else slice(None) for k in (0, 1))
                for part in (slice(None, -1), slice(1, None))
            )
            differs = labels[here] != labels[there]
            grown[here] |= differs | border[there]
            grown[there] |= differs | border[here]
        border = grown
    return border & (labels >= 1024)


def segment_overlay(
    image: np.ndarray, labels: np.ndarray, palette: np.ndarray, opacity: float = 0.5
) -> np.ndarray:
    """Lays classes' colours over an image and draws a white line along the inside of each thing.

    Args:
        image: (height, width, 3) RGB in 0 ... 255.
        labels: integer (height, width), panoptic label map; void keeps the image.
        palette: uint8 (classes, 3) RGB.
        opacity: 0 shows the image only, 1 the colours only.

    Returns:
        uint8 (height, width, 3).
    """
    picture = overlay(image, class_ids(labels), palette, opacity)
    picture[contour_mask(labels)] = LINE
    return picture
