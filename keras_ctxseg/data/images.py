"""Reading image files.

Pixels are taken as stored: an EXIF orientation is not applied, because masks carry none and because
TensorFlow's decoders, and so exported models, ignore it too. (`load_folder` warns about it.)
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".png")

_EXIF_ORIENTATION = 0x0112


def open_image(path: str | os.PathLike) -> Image.Image:
    """Open a file and read its header only. Raises `FileError`."""
    expected = "expected a readable JPEG or PNG image"
    try:
        if os.path.getsize(path) == 0:
            raise FileError("unreadable", path, f"{expected}. Found: an empty file (0 bytes)")
        return Image.open(path, formats=("JPEG", "PNG"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        found = error or type(error).__name__
        raise FileError("unreadable", path, f"{expected}. Found: {found}") from error


def decode(image: Image.Image, path: str | os.PathLike) -> None:
    """Read all pixels of an opened image. Raises `FileError`."""
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise FileError(
            "truncated",
            path,
            f"expected a complete image of {image.height}x{image.width} (height x width). "
            f"Found: {error}",
        ) from error


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a JPEG or PNG file as uint8 `(height, width, 3)` RGB.

    Grey and palette images become RGB, alpha is dropped, and of 16-bit channels the upper 8 bits
    stay.

    Raises:
        ValueError: a missing, empty, truncated or foreign file.
    """
    with open_image(path) as image:
        decode(image, path)
        return rgb_pixels(image)


def rgb_pixels(image: Image.Image) -> np.ndarray:
    """An image of any mode as uint8 `(height, width, 3)`; see `read_image`."""
    if image.mode.startswith("I"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    return np.array(image.convert("RGB"))


def ends_properly(path: str | os.PathLike, image_format: str | None) -> bool:
    """Whether the file's last bytes are its format's end mark: a cheap hint that it is complete."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 16))
        tail = file.read()
    return b"\xff\xd9" in tail if image_format == "JPEG" else b"IEND" in tail


def is_turned(image: Image.Image) -> bool:
    """Whether the EXIF data asks viewers to turn or mirror the stored pixels."""
    if image.format == "PNG" and "exif" not in image.info:
        return False  # `getexif` would decode the whole file in search of it
    return image.getexif().get(_EXIF_ORIENTATION, 1) not in (0, 1)


class FileError(ValueError):
    """A file that cannot be used as it is; the message begins with its path.

    Args:
        code: which kind of problem, a key of `checks.findings.KINDS`.
        path: the file or folder.
        text: what was expected and what was found.
    """

    def __init__(self, code: str, path: str | os.PathLike, text: str):
        super().__init__(f"{path}: {text}")
        self.code, self.path, self.text = code, Path(path), text
