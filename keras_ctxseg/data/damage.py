"""Damage that decoders pass over: checksums and ends of PNG files, missing halves of JPEG files."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END_OF_IMAGE = b"\xff\xd9"
_TAIL = 64  # pixels of the last row that show whether data were missing
_FILLER_BYTES = 4096


def png_damage(content: bytes) -> str:
    """What is wrong with the chunks of a PNG file; empty where all are whole."""
    place, pixels, start = len(PNG_SIGNATURE), False, 0
    while place < len(content):
        start = place
        if place + 12 > len(content):
            break
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        end = place + 12 + length
        name = kind.decode("latin-1")
        if end > len(content):
            return f"its chunk {name!r} at byte {start} is cut off at the file's end"
        stored = struct.unpack(">I", content[end - 4 : end])[0]
        if zlib.crc32(memoryview(content)[place + 4 : end - 4]) != stored:
            return f"its chunk {name!r} at byte {start} fails its checksum"
        pixels |= kind == b"IDAT"
        if kind == b"IEND":
            return "" if pixels else "it has no chunk 'IDAT'"
        place = end
    return "its end, the chunk 'IEND', is missing"


def jpeg_is_short(content: bytes, image: np.ndarray, is_progressive: bool) -> bool:
    """Whether a JPEG file ends, with a proper end mark, before its picture does.

    Decoders fill what is missing with one colour and only murmur. So the end mark is replaced by
    random data: they show in the picture if, and only if, data were missing.

    Args:
        content: the file.
        image: its pixels, `(height, width, ...)`.
        is_progressive: whether the picture comes in several passes.
    """
    end = content.rfind(_END_OF_IMAGE)
    if end < 0:
        return False
    tail = image[-1, -_TAIL:]
    if not is_progressive and (tail != tail[-1]).any():
        return False  # The last blocks have a texture, so they are there.
    filler = np.random.default_rng(0).integers(0, 255, _FILLER_BYTES, np.uint8).tobytes()
    altered = content[:end] + filler + content[end:]
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as first:
            before = np.asarray(first)
        with Image.open(io.BytesIO(altered), formats=("JPEG",)) as second:
            after = np.asarray(second)
    except Exception:  # Both can be decoded, or data were missing.
        return True
    return bool((before != after).any())
