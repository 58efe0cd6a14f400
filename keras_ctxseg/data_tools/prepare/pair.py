"""One image and its mask on their way into a data set's folder."""

import dataclasses
import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_ctxseg.data.images import FileError, decode, is_turned, rgb_pixels

Exif = Literal["auto", "upright", "stored"]
EXIF_CHOICES = ("auto", "upright", "stored")

SOURCE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_KEPT = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png"}
_JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and what makes its mask.

    Attributes:
        name: of the files that are written, without suffix.
        image: a file of any format that Pillow reads, or a function that gives its bytes.
        source: the file that errors name.
        mask: a file that is copied as it is, or a function that gives uint8 `(height, width)`.
    """

    name: str
    image: Path | Callable[[], bytes]
    source: Path
    mask: Path | Callable[[], np.ndarray]

    def copy_into(self, split: Path, exif: Exif = "auto") -> None:
        """Write `images/<name>` and `labels/<name>`.

        JPEG and PNG files are copied as they are; others become PNG. An image that its EXIF data
        turns is written anew without them: turned where the mask is of the turned size (as most
        annotation tools have it), otherwise as stored.

        Args:
            split: the folder of the split.
            exif: `"auto"` as above, or `"upright"` (turn) or `"stored"` (do not) whatever fits.

        Raises:
            FileError: an image or a mask that cannot be read, or is of another size.
        """
        mask = self._read_mask()
        content = self.image if isinstance(self.image, Path) else self.image()
        with open_any(content, self.source) as image:
            decode(image, self.source)
            turned = is_turned(image)
            upright = ImageOps.exif_transpose(image) if turned else image
            turn = turned and exif != "stored" and (exif == "upright" or fits(upright, mask))
            written = upright if turn else image
            if not fits(written, mask):
                raise FileError(
                    "size_mismatch",
                    self.source,
                    f"expected a mask of {written.height}x{written.width} (height x width). "
                    f"Found: {mask.shape[0]}x{mask.shape[1]}",
                )
            suffix = _KEPT.get(image.format or "", ".png")
            target = split / "images" / f"{self.name}{suffix}"
            if turned or image.format not in _KEPT:
                save_rgb(rgb_pixels(written), target)
            elif isinstance(content, bytes):
                target.write_bytes(content)
            else:
                shutil.copyfile(content, target)
        label = split / "labels" / self.name
        if isinstance(self.mask, Path):
            shutil.copyfile(self.mask, f"{label}{self.mask.suffix}")
        else:
            Image.fromarray(mask).save(f"{label}.png")

    def _read_mask(self) -> np.ndarray:
        if not isinstance(self.mask, Path):
            return self.mask()
        with open_any(self.mask, self.mask) as mask:
            decode(mask, self.mask)
            return np.asarray(mask)


@contextmanager
def open_any(image: Path | bytes, source: Path) -> Iterator[Image.Image]:
    """Open an image of any format. Raises `FileError`."""
    try:
        opened = Image.open(io.BytesIO(image) if isinstance(image, bytes) else image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        text = f"expected a readable image. Found: {error or type(error).__name__}"
        raise FileError("unreadable", source, text) from error
    with opened:
        yield opened


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raises `ValueError` for a word that is not among the choices."""
    if value not in choices:
        raise ValueError(f"`{name}`: expected one of {', '.join(choices)}. Received: {value!r}")


@contextmanager
def any_size() -> Iterator[None]:
    """Lifts Pillow's limit of 179 megapixels: these are the user's own files, not a stranger's."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def fits(image: Image.Image, mask: np.ndarray) -> bool:
    """Whether image and mask are of one size."""
    return mask.shape[:2] == (image.height, image.width)


def save_rgb(rgb: np.ndarray, path: str | os.PathLike) -> None:
    """Write pixels as a JPEG of high quality or as a PNG, by the name's suffix."""
    image = Image.fromarray(rgb)
    if str(path).endswith(".jpg"):
        image.save(path, quality=_JPEG_QUALITY, subsampling=0)
    else:
        image.save(path)
