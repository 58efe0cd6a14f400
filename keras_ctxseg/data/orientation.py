"""EXIF orientation: how stored pixels are turned for viewers, and label maps turned back.

Each of the eight orientations is a transposition or none, then mirror images of either axis.
"""

import numpy as np
from PIL import Image

TAG = 0x0112

# Orientation: (transpose first?, mirror left and right?, mirror up and down?)
STEPS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
_INVERSE = {6: 8, 8: 6}


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an opened image, 1 ... 8; 1 where there is none or it is damaged."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # `getexif` would decode the whole file in search of it
    try:
        value = image.getexif().get(TAG, 1)
    except Exception:  # Damaged EXIF data raise nearly anything, and the pixels may be whole.
        return 1
    return value if isinstance(value, int) and value in STEPS else 1


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turns stored pixels `(height, width, ...)` as viewers show them."""
    transpose, mirror, flip = STEPS[orientation]
    if transpose:
        array = array.swapaxes(0, 1)
    if mirror:
        array = array[:, ::-1]
    return array[::-1] if flip else array


def turned_back(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turns upright pixels `(height, width, ...)` as the file stores them."""
    return upright(array, _INVERSE.get(orientation, orientation))


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width once turned."""
    return (width, height) if STEPS[orientation][0] else (height, width)
