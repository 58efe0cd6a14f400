"""Lines around things, in pictures of panoptic label maps."""

import numpy as np

from keras_ctxseg.labels.panoptic import STEP

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
