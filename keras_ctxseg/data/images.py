"""Reading image files of any kind: headers, stored values, and pixels as a network sees them.

What is read here defines an image. Training decodes plain JPEG and PNG files with TensorFlow, to
the same pixels (`decoding`), and all other files through here (`raw_copies`).
"""

import dataclasses
import io
import logging
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_ctxseg.data.damage import jpeg_is_short, png_damage
from keras_ctxseg.data.image_reading import MAX_PIXELS, ImageReading, ReadingError
from keras_ctxseg.data.orientation import orientation_of, upright, upright_size

SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".jp2",
    ".npy",
)  # fmt: skip
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000")

ANY_SIZE = 2**62  # pixels: no limit

_NPY_SIGNATURE = b"\x93NUMPY"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_VALUES = 16  # for each pixel that is allowed: a limit for damaged headers
_EXPECTED = "expected a readable image (JPEG, PNG, TIFF, WebP, BMP, GIF or .npy)"
_NATIVE = {
    "JPEG": ("L", "RGB"),
    "MPO": ("L", "RGB"),
    "PNG": ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "I;16", "I"),
}
_INSTALL = "TIFF files of every kind: pip install 'keras_ctxseg[formats]'"
_opening = threading.Lock()

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # Its errors are raised as well.


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


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says before its pixels are read.

    Attributes:
        height, width: as stored.
        format: of the file, as Pillow calls it, or `"NPY"`.
        mode: Pillow's, or a NumPy dtype.
        orientation: EXIF's, 1 ... 8.
    """

    height: int
    width: int
    format: str
    mode: str
    orientation: int = 1

    @property
    def is_native(self) -> bool:
        """Whether TensorFlow decodes such files to the same RGB pixels."""
        return self.mode in _NATIVE.get(self.format, ())

    def size(self, reading: ImageReading) -> tuple[int, int]:
        """Height and width as read."""
        if reading.exif == "keep":
            return self.height, self.width
        return upright_size(self.height, self.width, self.orientation)


@dataclasses.dataclass(frozen=True)
class Stored:
    """The values of a file, as stored: `(height, width, bands)`; colours in the order RGB.

    Attributes:
        values: of the file's own type.
        has_alpha: whether the last band is transparency.
        header: of the file.
    """

    values: np.ndarray
    has_alpha: bool
    header: Header

    @property
    def drops_alpha(self) -> bool:
        """Whether the transparency, which is not read by default, says anything."""
        return self.has_alpha and bool(np.ptp(self.values[..., -1]))


def open_image(path: str | os.PathLike | bytes, name: str | os.PathLike = "") -> Image.Image:
    """Open a file, or its content, with Pillow, and read its header only.

    Images of any size are opened: `check_pixels` refuses those that are too large.

    Raises:
        FileError: an empty file, or one that Pillow does not know.
    """
    name = name or (path if not isinstance(path, bytes) else "image")
    try:
        size = len(path) if isinstance(path, bytes) else os.path.getsize(path)
        if size == 0:
            raise FileError("unreadable", name, f"{_EXPECTED}. Found: an empty file (0 bytes)")
        with _opening:  # The limit is Pillow's only way to open large images.
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                source = io.BytesIO(path) if isinstance(path, bytes) else path
                return Image.open(source, formats=FORMATS)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except FileError:
        raise
    except UnidentifiedImageError as error:
        why = "no known format"
        if str(name).lower().endswith((".tif", ".tiff")) and not _has_tifffile():
            why += f". {_INSTALL}"
        raise FileError("unreadable", name, f"{_EXPECTED}. Found: {why}") from error
    except Exception as error:  # A damaged header raises nearly anything.
        found = error or type(error).__name__
        raise FileError("unreadable", name, f"{_EXPECTED}. Found: {found}") from error


def decode(image: Image.Image, path: str | os.PathLike) -> None:
    """Read all pixels of an opened image. Raises `FileError`."""
    try:
        image.load()
    except Exception as error:  # Damaged data raise nearly anything.
        raise _incomplete(path, image.height, image.width, error) from error


def check_pixels(height: int, width: int, path: str | os.PathLike, most: int) -> None:
    """Raises `FileError` for an image of more pixels than allowed."""
    if height * width > most:
        raise FileError(
            "too_large",
            path,
            f"expected at most {most:,} pixels (the option `max_pixels`; `ctxseg prepare-data "
            "tile` cuts images). "
            f"Found: {height}x{width} (height x width)",
        )


def read_header(path: str | os.PathLike) -> Header:
    """Read a file's header only. Raises `FileError`."""
    start = _start(path)
    if start.startswith(_NPY_SIGNATURE):
        values = _load_npy(path)
        return Header(values.shape[0], values.shape[1], "NPY", str(values.dtype))
    if start.startswith(_TIFF_SIGNATURES) and (tiff := _tiff_header(path)):
        return tiff
    with open_image(path) as image:
        return _header(image)


def is_array(path: str | os.PathLike) -> bool:
    """Whether a file is a NumPy array. Raises `FileError` for a file that cannot be opened."""
    return _start(path).startswith(_NPY_SIGNATURE)


def read_stored(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Stored:
    """Read a file's values as they are stored.

    Raises:
        FileError: a missing, empty, damaged or foreign file, or one of too many pixels.
    """
    start = _start(path)
    if start.startswith(_NPY_SIGNATURE):
        values = _load_npy(path)
        header = Header(values.shape[0], values.shape[1], "NPY", str(values.dtype))
        check_pixels(header.height, header.width, path, max_pixels)
        return Stored(values.astype(values.dtype.newbyteorder("=")), False, header)
    if start.startswith(_TIFF_SIGNATURES) and (tiff := _tiff_header(path)):
        check_pixels(tiff.height, tiff.width, path, max_pixels)
        if stored := _read_tiff(path, tiff, max_pixels):
            return stored
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FileError("unreadable", path, f"{_EXPECTED}. Found: {error.strerror}") from error
    return decode_stored(content, path, max_pixels)


def decode_stored(content: bytes, path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Stored:
    """The values of a file that Pillow reads, from its content; see `read_stored`."""
    with open_image(content, path) as image:
        header = _header(image)
        check_pixels(header.height, header.width, path, max_pixels)
        check_chunks(content, path, header)
        decode(image, path)
        if header.format == "TIFF" and getattr(image, "n_frames", 1) > 1 and not _has_tifffile():
            text = f"one page. Found: {getattr(image, 'n_frames', 1)}. {_INSTALL}"
            raise FileError("unreadable", path, f"expected {text}")
        if header.format == "PNG" and content[24] == 16 and content[25] in (2, 4, 6):
            values = _png16(content, path, header)
            return Stored(values, content[25] != 2, header)
        values, has_alpha = _values(image)
        is_progressive = bool(image.info.get("progressive"))
    if header.format in ("JPEG", "MPO") and jpeg_is_short(content, values, is_progressive):
        raise _incomplete(
            path, header.height, header.width, "an end mark before the last pixels (cut off)"
        )
    return Stored(values, has_alpha, header)


def check_chunks(content: bytes, path: str | os.PathLike, header: Header) -> None:
    """Raises `FileError` where a PNG file's chunks are damaged; Pillow passes over some damage."""
    damage = png_damage(content) if header.format == "PNG" else ""
    if damage:
        raise _incomplete(path, header.height, header.width, damage)


def read_image(path: str | os.PathLike, reading: ImageReading | None = None) -> np.ndarray:
    """Read an image file as uint8 `(height, width, channels)`.

    By default grey and palette images become RGB, transparency is dropped, of 16-bit values the
    upper 8 bits stay, and the EXIF orientation is applied.

    Args:
        path: a JPEG, PNG, TIFF, WebP, BMP, GIF or NumPy file.
        reading: bands, range and orientation.

    Raises:
        FileError: a missing, empty, damaged or foreign file, or one that `reading` does not fit.
    """
    reading = reading or ImageReading()
    return pixels_of(read_stored(path, reading.max_pixels), path, reading)


def pixels_of(stored: Stored, path: str | os.PathLike, reading: ImageReading) -> np.ndarray:
    """Stored values as `read_image` gives them."""
    try:
        pixels = reading.pixels(stored.values, stored.has_alpha)
    except ReadingError as error:
        raise FileError("image_values", path, str(error)) from error
    if reading.exif == "upright" and stored.header.orientation != 1:
        pixels = np.ascontiguousarray(upright(pixels, stored.header.orientation))
    return pixels


def rgb_pixels(image: Image.Image) -> np.ndarray:
    """An image of any mode as uint8 `(height, width, 3)`, not turned; see `read_image`."""
    values, has_alpha = _values(image)
    return ImageReading().pixels(values[..., :1] if values.shape[-1] == 2 else values, has_alpha)


def ends_properly(path: str | os.PathLike, image_format: str | None) -> bool:
    """Whether the file's last bytes are its format's end mark: a cheap hint that it is complete."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 16))
        tail = file.read()
    return b"\xff\xd9" in tail if image_format == "JPEG" else b"IEND" in tail


def is_turned(image: Image.Image) -> bool:
    """Whether the EXIF data asks viewers to turn or mirror the stored pixels."""
    return orientation_of(image) != 1


def _incomplete(path, height: int, width: int, error: Any) -> FileError:
    return FileError(
        "truncated",
        path,
        f"expected a complete image of {height}x{width} (height x width). "
        f"Found: {error or type(error).__name__}",
    )


def _start(path: str | os.PathLike) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(8)
    except OSError as error:
        raise FileError("unreadable", path, f"{_EXPECTED}. Found: {error.strerror}") from error


def _header(image: Image.Image) -> Header:
    return Header(image.height, image.width, image.format or "", image.mode, orientation_of(image))


def _values(image: Image.Image) -> tuple[np.ndarray, bool]:
    """A decoded image as `(height, width, bands)`, and whether the last band is transparency."""
    mode = image.mode
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    elif mode in ("P", "PA"):
        image = image.convert("RGBA").convert("RGB")
    elif mode in ("La", "RGBa"):
        image = image.convert("LA" if mode == "La" else "RGBA")
    values = np.asarray(image)
    if (mode == "I" and image.format in ("PPM", "PNG")) or mode.startswith("I;16"):
        values = values.astype(np.uint16)
    values = values[..., None] if values.ndim == 2 else values
    return values, image.mode in ("LA", "RGBA")


def _png16(content: bytes, path, header: Header) -> np.ndarray:
    """Colours of 16 bits, of which Pillow keeps 8."""
    import cv2  # tf-models-official brings it

    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise _incomplete(path, header.height, header.width, "data that cannot be decoded")
    is_grey = content[25] == 4
    order = [0, 3] if is_grey else [2, 1, 0, 3][: values.shape[-1]]
    return values[..., order]


def _load_npy(path) -> np.ndarray:
    """A NumPy file's array as `(height, width, bands)`, mapped into memory."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise FileError("unreadable", path, f"expected a NumPy array. Found: {error}") from error
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.dtype.kind not in "buif" or 0 in values.shape:
        raise FileError(
            "unreadable",
            path,
            "expected an array of numbers, (height, width), (height, width, bands) or "
            f"(bands, height, width). Found: {values.dtype} {values.shape}",
        )
    # Bands are few: the shorter end is theirs.
    return values if values.shape[-1] <= values.shape[0] else np.moveaxis(values, 0, -1)


def _has_tifffile() -> bool:
    from importlib.util import find_spec

    return find_spec("tifffile") is not None


def _tiff_header(path) -> Header | None:
    """A TIFF file's header by tifffile; None where Pillow is to read the file."""
    try:
        from tifffile import TiffFile
    except ImportError:
        return None
    try:
        with TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            if page.photometric.name not in ("MINISBLACK", "MINISWHITE", "RGB", "YCBCR"):
                return None
            tag = page.tags.get(274)
            turned = int(tag.value) if tag and tag.value in range(1, 9) else 1
            return Header(page.imagelength, page.imagewidth, "TIFF", str(page.dtype), turned)
    except Exception as error:  # A damaged header raises nearly anything.
        found = error or type(error).__name__
        raise FileError("unreadable", path, f"{_EXPECTED}. Found: {found}") from error


def _read_tiff(path, header: Header, max_pixels: int) -> Stored | None:
    """All bands of a TIFF file: those of its first page, or one of each of its pages."""
    from tifffile import TiffFile

    try:
        with TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            alike: list[Any] = [
                other
                for other in tiff.pages
                if other.shape == page.shape and other.dtype == page.dtype
                and not getattr(other, "is_reduced", False)
            ]  # fmt: skip
            samples = page.samplesperpixel
            if len(alike) > 1 and samples > 1:
                raise ValueError(f"{len(alike)} pages of {samples} bands each; one page is read")
            if header.height * header.width * samples * len(alike) > _MOST_VALUES * max_pixels:
                raise ValueError(f"{samples * len(alike)} bands of {header.height}x{header.width}")
            _check_segments(alike, os.path.getsize(path))
            arrays = [np.asarray(each.asarray()) for each in alike]
            alpha = bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)
            planes = page.planarconfig == 2 and samples > 1
            inverted = page.photometric.name == "MINISWHITE"
    except Exception as error:  # Damaged data raise nearly anything.
        raise _incomplete(path, header.height, header.width, error) from error
    try:
        if len(arrays) > 1:
            values = np.stack([array.reshape(header.height, header.width) for array in arrays], -1)
        elif planes:
            values = np.moveaxis(arrays[0].reshape(samples, header.height, header.width), 0, -1)
        else:
            values = arrays[0].reshape(header.height, header.width, -1)
    except ValueError as error:  # Fewer values than the header claims.
        raise _incomplete(path, header.height, header.width, error) from error
    if values.dtype.kind not in "buif":
        raise _incomplete(path, header.height, header.width, f"values of type {values.dtype}")
    if inverted and values.dtype.kind in "bu":
        values = ~values
    return Stored(values.astype(values.dtype.newbyteorder("="), copy=False), alpha, header)


def _check_segments(pages, size: int) -> None:
    """Raises ValueError where strips or tiles lie beyond the file's end; tifffile leaves gaps."""
    for page in pages:
        page = page.aspage()
        for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
            if offset + length > size:
                raise ValueError(f"{offset + length - size} bytes beyond the file's end")
        if not sum(page.databytecounts):
            raise ValueError("no pixels")
