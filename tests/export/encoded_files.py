"""Files for the tests of decoding, whole and damaged in every way that comes to mind."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encode(image, file_format="PNG", mode=None, **options):
    """The bytes of an image file; `image` is an array or a Pillow image."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture = picture if mode is None else picture.convert(mode)
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def huge_png(width, height):
    """A PNG of a few bytes that claims to be huge, with all checksums right."""

    def block(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + block(b"IHDR", header)
        + block(b"IDAT", zlib.compress(bytes(1000)))
        + block(b"IEND", b"")
    )


def huge_jpeg(image, side=65000):
    """A JPEG whose frame header claims another size."""
    file = bytearray(encode(image, "JPEG"))
    frame = file.index(b"\xff\xc0")
    file[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(file)


def damaged(random, file):
    """The file with one thing wrong: bytes changed, cut off, left out, put in, or two swapped."""
    file = bytearray(file)
    kind = random.integers(5)
    place = int(random.integers(len(file)))
    if kind == 0:
        for index in random.integers(0, len(file), random.integers(1, 9)):
            file[index] ^= 1 << random.integers(8)
    elif kind == 1:
        del file[place:]
    elif kind == 2:
        del file[place : place + int(random.integers(1, 40))]
    elif kind == 3:
        file[place:place] = random.bytes(int(random.integers(1, 40)))
    else:
        other = int(random.integers(len(file)))
        file[place], file[other] = file[other], file[place]
    return bytes(file)


def originals(image):
    """Sound files of the kinds that are in use."""
    photo = np.asarray(Image.fromarray(image[::8, ::8]).resize(image.shape[1::-1]))
    return {
        "png": encode(photo),
        "gray png": encode(photo, mode="L"),
        "palette png": encode(photo, mode="P"),
        "16-bit png": encode(Image.fromarray(photo[..., 0].astype("uint16") * 257)),
        "rgba png": encode(photo, mode="RGBA"),
        "jpeg": encode(photo, "JPEG"),
        "progressive jpeg": encode(photo, "JPEG", progressive=True),
        "gray jpeg": encode(photo, "JPEG", mode="L"),
        "cmyk jpeg": encode(photo, "JPEG", mode="CMYK"),
        "restarting jpeg": encode(photo, "JPEG", restart_marker_blocks=2),
    }
