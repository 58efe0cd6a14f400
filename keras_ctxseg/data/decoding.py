"""Decoding images and masks inside the TensorFlow graph.

Not in Python (`tf.numpy_function`): a process that ends, or is interrupted, while such a pipeline
still prefetches never ends, since the pipeline waits for the interpreter and the interpreter for
the pipeline. `images.read_image` and `masks.read_mask` give the same values without TensorFlow.
What only they can read reaches the graph as raw bytes (`raw_copies`).
"""

import os
import struct
import zlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.orientation import STEPS

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 33  # bytes: signature, and the chunk IHDR with its length, name and checksum
_PNG_DEPTH, _PNG_COLOR_TYPE = 24, 25  # places in the header
_GREY = b"\0"


def decode_rgb(contents: tf.Tensor) -> tf.Tensor:
    """The bytes of a JPEG or PNG file (scalar string) as uint8 `(height, width, 3)` RGB.

    Of 16-bit channels the upper 8 bits stay; alpha is dropped.
    """
    return tf.cond(
        _is_png(contents),
        lambda: tf.io.decode_png(contents, channels=3),
        # The default method differs from Pillow's by up to 20 grey levels.
        lambda: tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE"),
    )


def decoded(contents: bytes) -> np.ndarray | None:
    """What `decode_rgb` gives; None for a file that it refuses, unlike Pillow perhaps."""
    try:
        with tf.device("CPU"):
            return decode_rgb(tf.constant(contents)).numpy()
    except tf.errors.OpError:
        return None


def decode_named(
    decode: Callable[[tf.Tensor], tf.Tensor], contents: tf.Tensor, name: tf.Tensor
) -> tf.Tensor:
    """Decodes a file so that an error names it, which TensorFlow's own errors do not.

    Graphs have no try and except, but `tf.data` does: an element whose computation fails is left
    out.

    Args:
        decode: from the bytes to an image or label map with a pixel at least.
        contents: scalar string.
        name: scalar string, what the error begins with.
    """
    trial = tf.data.Dataset.from_tensors(contents).map(decode).ignore_errors()
    spec = trial.element_spec
    nothing = tf.zeros([side or 0 for side in spec.shape], spec.dtype)
    found = trial.concatenate(tf.data.Dataset.from_tensors(nothing)).take(1).get_single_element()
    message = [
        tf.strings.join([name, ": this file cannot be decoded; `ctxseg check-data` says why"])
    ]
    with tf.control_dependencies([tf.debugging.Assert(tf.size(found) > 0, message)]):
        return tf.identity(found)


def decode_grey(contents: tf.Tensor) -> tf.Tensor:
    """The bytes of a grey JPEG or PNG file as its stored values: int32 `(height, width)`."""

    def png():
        depth = tf.io.decode_raw(tf.strings.substr(contents, _PNG_DEPTH, 1), tf.uint8)
        depth = tf.cast(depth[0], tf.int32)
        # Greys of 1, 2 and 4 bits come out stretched to 0 ... 255.
        step = tf.gather([0, 255, 85, 0, 17, 0, 0, 0, 1], tf.minimum(depth, 8))
        return tf.cond(
            depth == 16,
            lambda: tf.cast(tf.io.decode_png(contents, channels=1, dtype=tf.uint16), tf.int32),
            lambda: tf.cast(tf.io.decode_png(contents, channels=1), tf.int32) // step,
        )

    def jpeg():
        image = tf.io.decode_jpeg(contents, channels=1, dct_method="INTEGER_ACCURATE")
        return tf.cast(image, tf.int32)

    return tf.cond(_is_png(contents), png, jpeg)[..., 0]


def turn_upright(array: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns `(height, width, channels)` by its EXIF orientation (scalar integer, 1 ... 8)."""
    steps = tf.constant([STEPS[1], *(STEPS[number] for number in range(1, 9))])
    transpose, mirror, flip = tf.unstack(tf.gather(steps, orientation))
    channels = array.shape[-1]

    def turned():
        turned = tf.cond(transpose, lambda: tf.transpose(array, [1, 0, 2]), lambda: array)
        turned = tf.cond(mirror, lambda: tf.reverse(turned, [1]), lambda: turned)
        return tf.cond(flip, lambda: tf.reverse(turned, [0]), lambda: turned)

    result = tf.cond(tf.equal(orientation, 1), lambda: array, turned)
    return tf.ensure_shape(result, (None, None, channels))


def grey_header(path: str | os.PathLike) -> tuple[bytes, int]:
    """What makes a grey PNG of a palette PNG, so that its indices can be decoded.

    TensorFlow turns palette images into colours. But the pixels of a palette PNG are stored like
    those of a grey one of the same depth; only the header and the palette before them differ.

    Returns:
        The new header, and the place of the first byte that follows it: the file's first IDAT.

    Raises:
        ValueError: no PNG with pixels.
    """
    with open(path, "rb") as file:
        header = file.read(_PNG_HEADER)
        chunk = header[12:_PNG_COLOR_TYPE] + _GREY + header[_PNG_COLOR_TYPE + 1 : 29]
        grey = header[:12] + chunk + struct.pack(">I", zlib.crc32(chunk))
        while len(start := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", start)
            if kind == b"IDAT":
                return grey, file.tell() - 8
            file.seek(length + 4, os.SEEK_CUR)
    raise ValueError(f"{path}: expected a PNG image with pixels. Found: no IDAT chunk")


def _is_png(contents):
    return tf.strings.substr(contents, 0, len(_PNG_SIGNATURE)) == _PNG_SIGNATURE
