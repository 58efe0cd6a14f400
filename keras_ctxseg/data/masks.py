"""Reading mask files: from pixels to class ids, or to an error that says why not."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.images import (
    ANY_SIZE,
    FileError,
    check_chunks,
    decode,
    is_array,
    open_image,
    read_header,
    read_stored,
)

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
    if is_array(path):
        return _read_array(path, mask_format)
    content = _content(path)
    with open_image(content, path) as image:
        check_mask_mode(image, path, mask_format)
        check_chunks(content, path, read_header(path))
        decode(image, path)
        if mask_format == "colors":
            return pack_pixels(np.asarray(image.convert("RGB")))
        raw = np.asarray(image)
        if image.mode == "L" and image.format == "PNG":
            # Pillow stretches 2-bit and 4-bit greys to 0 ... 255.
            raw = raw // (255 // (2 ** min(content[24], 8) - 1))
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


def _content(path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        text = f"expected a readable mask. Found: {error.strerror}"
        raise FileError("unreadable", path, text) from error


def _read_array(path, mask_format: str) -> np.ndarray:
    values = read_stored(path, ANY_SIZE).values
    if mask_format == "colors" and values.shape[-1] == 3 and values.dtype == np.uint8:
        return pack_pixels(values)
    if mask_format == "colors" or values.shape[-1] != 1 or values.dtype.kind not in "bui":
        expected = "uint8 colours (height, width, 3)" if mask_format == "colors" else "integers"
        text = f"expected an array of {expected}. Found: {values.dtype} {values.shape}"
        raise FileError("mask_format", path, text)
    return values[..., 0].astype(np.int64)


def _few(values, limit: int = 8) -> str:
    texts = [str(value) for value in values]
    return ", ".join(texts[:limit]) + (" ..." if len(texts) > limit else "")


def _where(unknown: np.ndarray) -> str:
    row, column = np.argwhere(unknown)[0]
    return f"({unknown.sum()} pixels, the first at row {row}, column {column})"
