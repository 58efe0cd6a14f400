"""How far each pixel lies from another class, for scores along the contours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

DISTANCES = (1, 2, 4, 8, 16, 32)  # pixels at which the boundary curve is taken
DIAGONAL_SHARE = 0.02  # of the image's diagonal: the width of the contours in boundary IoU


def contour_distances(ids: np.ndarray) -> np.ndarray:
    """Distance to the nearest pixel of another id, in steps along rows, columns or diagonals.

    Args:
        ids: (height, width) integers.

    Returns:
        (height, width) int32; 1 next to another id, height + width where there is none.
    """
    at_contour = np.zeros(ids.shape, bool)
    everything, first, last = slice(None), slice(None, -1), slice(1, None)
    for here, there in (
        ((first, everything), (last, everything)),
        ((everything, first), (everything, last)),
        ((first, first), (last, last)),
        ((first, last), (last, first)),
    ):
        differs = ids[here] != ids[there]
        at_contour[here] |= differs
        at_contour[there] |= differs
    if not at_contour.any():
        return np.full(ids.shape, sum(ids.shape), np.int32)
    # From any pixel, the first step onto another id leaves from a pixel of `at_contour`.
    return ndimage.distance_transform_cdt(~at_contour, metric="chessboard").astype(np.int32) + 1


def edge_distances(height: int, width: int) -> np.ndarray:
    """Distance of each pixel to the outside of the image, (height, width) int32; 1 at the edge."""
    down, across = (
        np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in (height, width)
    )
    return np.minimum(down[:, None], across[None, :]).astype(np.int32)


def contour_width(height: int, width: int) -> int:
    """Width of the contours in boundary IoU: 2 % of the diagonal, in whole pixels, at least 1."""
    return max(1, round(DIAGONAL_SHARE * float(np.hypot(height, width))))
