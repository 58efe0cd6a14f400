"""From the bytes of a JPEG or PNG file to RGB inside the TensorFlow graph, or to an error."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

_DAMAGED = "this {} file is damaged or cut off: it cannot be decoded"


class Decoded(NamedTuple):
    """An image, or the reason why there is none.

    Attributes:
        image: uint8 (height, width, 3), RGB; (0, 0, 3) where there is an error.
        error: scalar string, empty where there is an image.
    """

    image: tf.Tensor
    error: tf.Tensor


def decode_image(contents: tf.Tensor, refuse_size: Callable[[tf.Tensor], tf.Tensor]) -> Decoded:
    """Decodes one JPEG or PNG file to three channels; never fails the graph that it runs in.

    Gray, CMYK and palette images become RGB, an alpha channel (or a transparent palette entry) is
    dropped without blending, 16-bit PNGs keep their upper 8 bits, of an animated PNG the first
    picture is taken, and an EXIF orientation is not applied. Anything else than JPEG and PNG is an
    error, and so is a file that TensorFlow cannot decode.

    Graphs have no try and except, but `tf.data` does: an element whose computation fails is left
    out. So the decoding is a data set of one element, and an error message stands behind it.

    Args:
        contents: scalar string, the file's bytes.
        refuse_size: from the size that the file claims, (2,) int64 height and width, to the reason
            why it is refused, or an empty string. Asked before the pixels are decoded.
    """
    is_png = _begins_with(contents, PNG_SIGNATURE)
    is_jpeg = _begins_with(contents, JPEG_SIGNATURE)
    damaged = tf.where(is_png, _DAMAGED.format("PNG"), _DAMAGED.format("JPEG"))

    def decoded(file: tf.Tensor) -> Decoded:
        refusal = refuse_size(tf.cond(is_png, lambda: _png_size(file), lambda: _jpeg_size(file)))
        image = tf.cond(
            tf.equal(refusal, ""), lambda: _pixels(file, is_png), lambda: _no_image().image
        )
        return Decoded(image, refusal)

    def attempt() -> Decoded:
        trial = tf.data.Dataset.from_tensors(contents).map(decoded).ignore_errors()
        otherwise = tf.data.Dataset.from_tensors(_no_image(damaged))
        return Decoded(*trial.concatenate(otherwise).take(1).get_single_element())

    unknown = tf.strings.join(
        [
            "expected the bytes of a JPEG or PNG file, received something else, of ",
            tf.strings.as_string(tf.strings.length(contents)),
            " bytes",
        ]
    )
    image, error = tf.cond(is_png | is_jpeg, attempt, lambda: _no_image(unknown))
    image.set_shape((None, None, 3))
    return Decoded(image, error)


def _begins_with(contents: tf.Tensor, signature: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(contents, 0, len(signature)), signature)


def _png_size(file: tf.Tensor) -> tf.Tensor:
    """From the first block of a PNG file, which holds width and height, most significant first."""
    header = tf.io.decode_raw(tf.strings.substr(file, 16, 8), tf.uint8)
    numbers = tf.reshape(tf.cast(header, tf.int64), (2, 4))
    width, height = tf.unstack(tf.reduce_sum(numbers * [1 << 24, 1 << 16, 1 << 8, 1], axis=1))
    return tf.stack([height, width])


def _jpeg_size(file: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.image.extract_jpeg_shape(file)[:2], tf.int64)


def _pixels(file: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    # The accurate transform gives the pixels that Pillow gives; TensorFlow's default does not.
    return tf.cond(
        is_png,
        lambda: tf.io.decode_png(file, channels=3),
        lambda: tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE"),
    )


def _no_image(error: tf.Tensor | str = "") -> Decoded:
    return Decoded(tf.zeros((0, 0, 3), tf.uint8), tf.convert_to_tensor(error))
