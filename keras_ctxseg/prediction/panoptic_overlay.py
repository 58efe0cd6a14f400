"""Segments over their image: the classes' colours, and a line around each thing."""

from __future__ import annotations

import numpy as np

from keras_ctxseg.data.instance_contours import LINE, instance_contours
from keras_ctxseg.data.palettes import overlay
from keras_ctxseg.labels.panoptic import class_ids


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
    picture[instance_contours(labels)] = LINE
    return picture
