"""Pictures inside an HTML file, as data URIs."""

import base64
import io

import numpy as np
from PIL import Image


def jpeg_uri(image: Image.Image) -> str:
    """A photograph."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return _uri(buffer, "jpeg")


def png_uri(colors: np.ndarray) -> str:
    """A drawing of few colours, uint8 `(height, width, 3)`, without loss."""
    buffer = io.BytesIO()
    # Label maps have few colours: a palette makes the file several times smaller.
    Image.fromarray(colors).quantize(256, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return _uri(buffer, "png")


def shrink_ids(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map at another size, `(width, height)`, by nearest neighbour."""
    picture = Image.fromarray(ids.astype(np.int32))
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST))


def fitting_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """`(width, height)` whose longer side is `longest` at most; never larger than given."""
    factor = min(1.0, longest / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _uri(buffer: io.BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
