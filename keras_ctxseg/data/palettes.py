"""Colours and overlays of label maps, panoptic ones included. Needs NumPy and Pillow only."""

from __future__ import annotations

import colorsys
import os

import numpy as np
from PIL import Image

from keras_ctxseg.labels.panoptic import IGNORE_LABEL, STEP, class_ids

IGNORE_COLOR = np.zeros(3, np.uint8)


def default_palette(num_classes: int) -> np.ndarray:
    """Distinct colours: uint8 `(num_classes, 3)` RGB, the same for the same class id every time.

    The hue advances by the golden ratio, so that any first few classes lie far apart.
    """
    colors = []
    for index in range(num_classes):
        hue = (0.58 + index * 0.618034) % 1.0
        value = (0.95, 0.7, 0.85)[index % 3]
        saturation = (0.55, 0.8)[index % 2]
        colors.append(colorsys.hsv_to_rgb(hue, saturation, value))
    return np.round(np.array(colors).reshape(-1, 3) * 255).astype(np.uint8)


def colorize(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Draw a label map in its classes' colours.

    Args:
        labels: integer `(..., height, width)`; ids without a colour are drawn black.
        palette: uint8 `(classes, 3)` RGB.

    Returns:
        uint8 `(..., height, width, 3)` RGB.
    """
    labels, palette = np.asarray(labels), np.asarray(palette, np.uint8)
    known = (labels >= 0) & (labels < len(palette))
    colors = palette[np.where(known, labels, 0)]
    return np.where(known[..., None], colors, IGNORE_COLOR)


def overlay(
    image: np.ndarray, labels: np.ndarray, palette: np.ndarray, opacity: float = 0.5
) -> np.ndarray:
    """Lay a label map's colours over its image; pixels without a class keep the image.

    Args:
        image: `(height, width, 3)` RGB in 0 ... 255.
        labels: integer `(height, width)`.
        palette: uint8 `(classes, 3)` RGB.
        opacity: 0 shows the image only, 1 the colours only.

    Returns:
        uint8 `(height, width, 3)`.
    """
    known = ((labels >= 0) & (labels < len(palette)))[..., None]
    mixed = (1 - opacity) * np.asarray(image, np.float32) + opacity * colorize(labels, palette)
    return np.clip(np.round(np.where(known, mixed, image)), 0, 255).astype(np.uint8)


def save_palette_png(
    path: str | os.PathLike,
    labels: np.ndarray,
    palette: np.ndarray,
    ignore_label: int = IGNORE_LABEL,
) -> None:
    """Save a label map as a PNG whose pixels are the ids and which shows in the classes' colours.

    Args:
        path: where to.
        labels: integer `(height, width)`, ids below `len(palette)` or `ignore_label`.
        palette: uint8 `(classes, 3)` RGB; 255 classes at most.
        ignore_label: an id in 0 ... 255 that is drawn black.

    Raises:
        ValueError: ids outside the palette.
    """
    labels, palette = np.asarray(labels), np.asarray(palette, np.uint8)
    outside = np.setdiff1d(labels, [*range(len(palette)), ignore_label])
    if labels.ndim != 2 or outside.size:
        raise ValueError(
            f"`labels`: expected (height, width) with ids 0 ... {len(palette) - 1} or "
            f"{ignore_label}. Received: shape {labels.shape} with ids {outside.tolist()[:8]}"
        )
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(palette)] = palette
    colors[ignore_label] = IGNORE_COLOR
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(colors.tobytes())
    image.save(path, format="PNG")


LINE = np.array([255, 255, 255], np.uint8)


def instance_contours(labels: np.ndarray) -> np.ndarray:
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
    return border & (labels >= STEP)


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
