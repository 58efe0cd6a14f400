"""Reading mask files with Pillow: from pixels to class ids, or to an error that says why not."""

import os

import numpy as np
from PIL import Image

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.images import FileError, decode, open_image

MASK_FORMATS = ("ids", "palette", "colors")

_GREY_MODES = ("1", "L", "I", "I;16", "I;16B")


def check_mask_mode(image: Image.Image, path: str | os.PathLike, mask_format: str) -> None:
    """Raises `FileError` where an opened mask is not written as `mask_format` says."""
    mode = image.mode
    if mask_format == "ids" and mode not in _GREY_MODES:
        kind = "a palette image" if mode == "P" else f"an image with channels {mode}"
        option = (
            'mask_format="palette" reads the indices, mask_format="colors" the colours'
            if mode == "P"
            else 'mask_format="colors" reads colours, by the palette of classes.json'
        )
        text = f"expected a single-channel mask of class ids. Found: {kind}. ({option}.)"
        raise FileError("mask_format", path, text)
    if mask_format == "palette" and mode != "P":
        raise FileError(
            "mask_format",
            path,
            "expected a palette mask (mask_format='palette'). Found: an image of mode "
            f"{mode}. (mask_format='ids' reads single-channel ids, 'colors' reads colours.)",
        )
    if mask_format == "colors" and mode not in ("RGB", "RGBA", "P"):
        raise FileError(
            "mask_format",
            path,
            "expected a mask in colours (mask_format='colors'). Found: an image of mode "
            f"{mode}. (mask_format='ids' reads single-channel ids.)",
        )


def read_mask(path: str | os.PathLike, table: ClassTable, mask_format: str = "ids") -> np.ndarray:
    """Read a mask as uint8 `(height, width)`: class ids, and `IGNORE_LABEL` for void pixels.

    Args:
        path: a PNG of 1, 2, 4, 8 or 16 bits (a JPEG too, but its lossy coding changes ids).
        table: what the raw ids or colours mean.
        mask_format: `"ids"`: grey values are raw ids; `"palette"`: a palette image's indices are;
            `"colors"`: colours are looked up in the class file's palette.

    Raises:
        FileError: an unreadable file, one in another format, or ids (colours) that the class file
            does not name; says which, how many pixels, and where the first one is.
    """
    return class_ids(read_raw_mask(path, mask_format), table, path, mask_format)


def read_raw_mask(path: str | os.PathLike, mask_format: str = "ids") -> np.ndarray:
    """Read a mask as what is written in it.

    Returns:
        `(height, width)`: uint16 or int64 raw ids, or uint32 packed RGB for `"colors"`.

    Raises:
        FileError: an unreadable file, or one in another format.
    """
    with open_image(path) as image:
        check_mask_mode(image, path, mask_format)
        decode(image, path)
        if mask_format == "colors":
            return pack_pixels(np.asarray(image.convert("RGB")))
        raw = np.asarray(image)
        if image.mode == "L" and image.format == "PNG":
            # Pillow stretches 2-bit and 4-bit greys to 0 ... 255.
            raw = raw // (255 // (2 ** min(_png_bit_depth(path), 8) - 1))
    return raw.astype(np.int64) if raw.dtype == np.int32 else raw.astype(np.uint16)


def class_ids(
    raw: np.ndarray, table: ClassTable, path: str | os.PathLike, mask_format: str = "ids"
) -> np.ndarray:
    """What `read_raw_mask` gave, as uint8 class ids and `IGNORE_LABEL`, in the same shape.

    Raises:
        FileError: ids (colours) that the class file does not name.
    """
    if mask_format == "colors":
        return _from_colors(raw, table, path)
    ids = known_ids(raw, table, mask_format)
    if ids.min() < 0:
        unknown = ids < 0
        found = f"{_few(np.unique(raw[unknown]))} {_where(unknown)}"
        if is_jpeg(path):
            found += "; JPEG's lossy coding changes ids, masks are best kept as PNG"
        text = f"expected label ids {table.known_raw_ids}. Found: {found}"
        raise FileError("unknown_ids", path, text)
    return ids.astype(np.uint8)


def known_ids(values: np.ndarray, table: ClassTable, mask_format: str = "ids") -> np.ndarray:
    """int16 class ids of raw ids (packed colours), `IGNORE_LABEL`, or -1 where unknown."""
    if mask_format == "colors":
        ids = [table.colors.get(int(color), -1) for color in values.ravel()]
        return np.array(ids, np.int16).reshape(values.shape)
    within = np.clip(values, 0, len(table.class_ids) - 1)
    return np.where(values == within, table.class_ids[within], -1).astype(np.int16)


def is_jpeg(path: str | os.PathLike) -> bool:
    """Whether a file begins as a JPEG does."""
    with open(path, "rb") as file:
        return file.read(2) == b"\xff\xd8"


def pack_pixels(rgb: np.ndarray) -> np.ndarray:
    """uint8 `(..., 3)` as uint32 `(...)`: `red << 16 | green << 8 | blue`."""
    channels = rgb.astype(np.uint32)
    return channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]


def _from_colors(packed: np.ndarray, table: ClassTable, path) -> np.ndarray:
    present, places = np.unique(packed, return_inverse=True)
    ids = known_ids(present, table, "colors")
    if ids.min() < 0:
        unknown = (ids < 0)[places].reshape(packed.shape)
        colors = [f"#{color:06x}" for color in present[ids < 0]]
        raise FileError(
            "unknown_ids",
            path,
            "expected the colours of classes.json's `palette` and `void_colors`. "
            f"Found: {_few(colors)} {_where(unknown)}",
        )
    return ids.astype(np.uint8)[places].reshape(packed.shape)


def _png_bit_depth(path) -> int:
    with open(path, "rb") as file:
        return file.read(25)[24]  # signature 8, chunk length and type 8, width and height 8


def _few(values, limit: int = 8) -> str:
    texts = [str(value) for value in values]
    return ", ".join(texts[:limit]) + (" ..." if len(texts) > limit else "")


def _where(unknown: np.ndarray) -> str:
    row, column = np.argwhere(unknown)[0]
    return f"({unknown.sum()} pixels, the first at row {row}, column {column})"
