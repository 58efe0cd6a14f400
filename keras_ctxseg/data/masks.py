"""Reading mask files with Pillow: from pixels to class ids, or to an error that says why not."""

import os

import numpy as np
from PIL import Image

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.images import decode, open_image

MASK_FORMATS = ("ids", "palette", "colors")

_GREY_MODES = ("1", "L", "I", "I;16", "I;16B")


def check_mask_mode(image: Image.Image, path: str | os.PathLike, mask_format: str) -> None:
    """Raises `ValueError` where an opened mask is not written as `mask_format` says."""
    mode = image.mode
    if mask_format == "ids" and mode not in _GREY_MODES:
        kind = "a palette image" if mode == "P" else f"an image with channels {mode}"
        option = (
            'mask_format="palette" reads the indices, mask_format="colors" the colours'
            if mode == "P"
            else 'mask_format="colors" reads colours, by the palette of classes.json'
        )
        raise ValueError(
            f"{path}: expected a single-channel mask of class ids. Found: {kind}. ({option}.)"
        )
    if mask_format == "palette" and mode != "P":
        raise ValueError(
            f"{path}: expected a palette mask (mask_format='palette'). Found: an image of mode "
            f"{mode}. (mask_format='ids' reads single-channel ids, 'colors' reads colours.)"
        )
    if mask_format == "colors" and mode not in ("RGB", "RGBA", "P"):
        raise ValueError(
            f"{path}: expected a mask in colours (mask_format='colors'). Found: an image of mode "
            f"{mode}. (mask_format='ids' reads single-channel ids.)"
        )


def read_mask(path: str | os.PathLike, table: ClassTable, mask_format: str = "ids") -> np.ndarray:
    """Read a mask as uint8 `(height, width)`: class ids, and `IGNORE_LABEL` for void pixels.

    Args:
        path: a PNG of 1, 2, 4, 8 or 16 bits (a JPEG too, but its lossy coding changes ids).
        table: what the raw ids or colours mean.
        mask_format: `"ids"`: grey values are raw ids; `"palette"`: a palette image's indices are;
            `"colors"`: colours are looked up in the class file's palette.

    Raises:
        ValueError: an unreadable file, one in another format, or ids (colours) that the class file
            does not name; says which, how many pixels, and where the first one is.
    """
    with open_image(path) as image:
        check_mask_mode(image, path, mask_format)
        decode(image, path)
        if mask_format == "colors":
            return _from_colors(np.asarray(image.convert("RGB")), table, path)
        raw = np.asarray(image)
        if image.mode == "L" and image.format == "PNG":
            # Pillow stretches 2-bit and 4-bit greys to 0 ... 255.
            raw = raw // (255 // (2 ** min(_png_bit_depth(path), 8) - 1))
    raw = raw.astype(np.int64) if raw.dtype == np.int32 else raw.astype(np.uint16)
    ids = table.class_ids[np.minimum(raw, len(table.class_ids) - 1)]
    if ids.min() < 0:
        unknown = ids < 0
        found = f"{_few(np.unique(raw[unknown]))} {_where(unknown)}"
        if image.format == "JPEG":
            found += "; JPEG's lossy coding changes ids, masks are best kept as PNG"
        raise ValueError(f"{path}: expected label ids {table.known_raw_ids}. Found: {found}")
    return ids.astype(np.uint8)


def _from_colors(rgb: np.ndarray, table: ClassTable, path) -> np.ndarray:
    channels = rgb.astype(np.uint32)
    packed = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    present, places = np.unique(packed, return_inverse=True)
    ids = np.array([table.colors.get(int(color), -1) for color in present], np.int16)
    if ids.min() < 0:
        unknown = (ids < 0)[places].reshape(packed.shape)
        colors = [f"#{color:06x}" for color in present[ids < 0]]
        raise ValueError(
            f"{path}: expected the colours of classes.json's `palette` and `void_colors`. "
            f"Found: {_few(colors)} {_where(unknown)}"
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
