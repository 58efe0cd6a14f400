"""What a mask that is not written as expected seems to be."""

from pathlib import Path

import numpy as np

from keras_ctxseg.data.file_problems import FileError
from keras_ctxseg.data.images import open_image, rgb_pixels


def mask_kind(path: Path) -> str:
    """`"palette"`; `"grey"`, where all channels are equal; `"colors"` otherwise."""
    try:
        with open_image(path) as image:
            if image.mode == "P":
                return "palette"
            rgb = rgb_pixels(image)
    except (FileError, OSError):
        return "colors"
    return "grey" if np.ptp(rgb, axis=-1).max() == 0 else "colors"
