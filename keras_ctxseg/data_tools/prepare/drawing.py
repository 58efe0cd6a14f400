"""Regions of annotation tools as pixels, each as the tool itself draws it.

COCO's rasteriser (pycocotools) where the tool uses it or has none of its own; OpenCV's `fillPoly`
for Supervisely and Ultralytics, which use it, and for Darwin, whose own differs in single pixels of
an outline.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_ctxseg.data_tools.prepare.annotation_schema import check_near, check_sum


def coco_polygons(
    polygons: Sequence[np.ndarray], height: int, width: int, source: Path, where: str
) -> np.ndarray:
    """The union of polygons as pycocotools fills them: bool `(height, width)`.

    Args:
        polygons: float `(points, 2)`, x before y; those of fewer than three points have no area.
        height, width: of the image.
        source, where: what errors name.

    Raises:
        FileError: coordinates far from the image.
    """
    from pycocotools import mask as coco_mask

    flat = [
        check_near(polygon, height, width, source, where).ravel().tolist()
        for polygon in polygons
        if len(polygon) >= 3
    ]
    if not flat:
        return np.zeros((height, width), bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, height, width))).astype(
        bool
    )


def filled(
    rings: Sequence[np.ndarray], height: int, width: int, source: Path, where: str
) -> np.ndarray:
    """Rings of integer points, filled by the even-odd rule, their outlines included.

    Args and errors are those of `coco_polygons`.
    """
    import cv2

    mask = np.zeros((height, width), np.uint8)
    points = [
        check_near(ring, height, width, source, where).astype(np.int32)
        for ring in rings
        if len(ring)
    ]
    if points:
        cv2.fillPoly(mask, points, 1)
    return mask.astype(bool)


def runs(counts: Sequence[int], height: int, width: int, source: Path, where: str) -> np.ndarray:
    """Run lengths along rows, the first of pixels outside: bool `(height, width)`.

    Raises:
        FileError: run lengths that do not add up.
    """
    check_sum(counts, height * width, source, where)
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)


def placed(part: np.ndarray, left: int, top: int, height: int, width: int) -> np.ndarray:
    """A region that covers a part of the image, as one of the whole; what lies beyond is cut."""
    region = np.zeros((height, width), bool)
    rows, columns = part.shape
    inside = part[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    region[max(0, top) : top + rows, max(0, left) : left + columns] = inside
    return region


def ellipse(
    center: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    height: int,
    width: int,
    source: Path,
    where: str,
) -> np.ndarray:
    """A filled ellipse as OpenCV draws it, rounded to pixels as CVAT does."""
    import cv2

    check_near([*center, *radii], height, width, source, where)
    mask = np.zeros((height, width), np.uint8)
    whole = [(round(a), round(b)) for a, b in (center, radii)]
    cv2.ellipse(mask, whole[0], whole[1], angle, 0, 360, 1, thickness=-1)
    return mask.astype(bool)


def rotated_box(
    corners: Sequence[tuple[float, float]], angle: float, pivot: tuple[float, float]
) -> np.ndarray:
    """Corners turned about a pivot, clockwise as images show it, `angle` in degrees."""
    points = np.array(corners, np.float64) - pivot
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return points @ np.array([[cosine, sine], [-sine, cosine]]) + pivot
