"""From the bytes of a JPEG or PNG file to RGB inside the TensorFlow graph, or to an error."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.image_reading import PLAIN, ImageReading

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


def reads_files(reading: ImageReading) -> bool:
    """Whether JPEG and PNG files, of three bands, can be read in this way."""
    return max(reading.bands or (3,)) <= 3


def decode_image(
    contents: tf.Tensor,
    refuse_size: Callable[[tf.Tensor], tf.Tensor],
    reading: ImageReading = PLAIN,
) -> Decoded:
    """Decodes one JPEG or PNG file to three channels; never fails the graph that it runs in.

    Gray, CMYK and palette images become RGB, an alpha channel (or a transparent palette entry) is
    dropped without blending, 16-bit PNGs keep their upper 8 bits, of an animated PNG the first
    picture is taken, and an EXIF orientation is left to `jpeg_orientation`. Anything else than JPEG
    and PNG is an error, and so is a file that TensorFlow cannot decode.

    Graphs have no try and except, but `tf.data` does: an element whose computation fails is left
    out. So the decoding is a data set of one element, and an error message stands behind it.

    Args:
        contents: scalar string, the file's bytes.
        refuse_size: from the size that the file claims, (2,) int64 height and width, to the reason
            why it is refused, or an empty string. Asked before the pixels are decoded.
        reading: bands and range.
    """
    is_png = _begins_with(contents, PNG_SIGNATURE)
    is_jpeg = _begins_with(contents, JPEG_SIGNATURE)
    damaged = tf.where(is_png, _DAMAGED.format("PNG"), _DAMAGED.format("JPEG"))

    def decoded(file: tf.Tensor) -> Decoded:
        refusal = refuse_size(tf.cond(is_png, lambda: _png_size(file), lambda: _jpeg_size(file)))
        image = tf.cond(
            tf.equal(refusal, ""), lambda: _pixels(file, is_png, reading), lambda: _no_image().image
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


def _pixels(file: tf.Tensor, is_png: tf.Tensor, reading: ImageReading) -> tf.Tensor:
    if not reading.is_plain:
        return _as_read(file, is_png, reading)
    # The accurate transform gives the pixels that Pillow gives; TensorFlow's default does not.
    return tf.cond(
        is_png,
        lambda: tf.io.decode_png(file, channels=3),
        lambda: tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE"),
    )


def _as_read(file: tf.Tensor, is_png: tf.Tensor, reading: ImageReading) -> tf.Tensor:
    """As `ImageReading.pixels`."""
    values = _pixels(file, is_png, PLAIN)
    if reading.range is not None:
        low, high = np.array(reading.range, np.float32).T
        is_wide = is_png & tf.equal(tf.strings.substr(file, 24, 1), b"\x10")
        stored = tf.cond(
            is_wide,
            lambda: tf.cast(tf.io.decode_png(file, channels=3, dtype=tf.uint16), tf.float32),
            lambda: tf.cast(values, tf.float32),
        )
        stored = _bands(stored, reading)
        levels = (stored - low) * (255 / (high - low))
        return tf.cast(tf.clip_by_value(tf.round(levels), 0.0, 255.0), tf.uint8)
    return _bands(values, reading)


def _bands(values: tf.Tensor, reading: ImageReading) -> tf.Tensor:
    if reading.bands is None:
        return values
    return tf.gather(values, [band - 1 for band in reading.bands], axis=-1)


_EXIF_BYTES = 2**17  # of a file's beginning, where EXIF data are looked for
_SEGMENTS = 32  # at most, before the EXIF data
_APP1, _SCAN, _ORIENTATION = 0xE1, 0xDA, 0x0112


def jpeg_orientation(contents: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG file, scalar int32 1 ... 8; 1 for others and without EXIF.

    Args:
        contents: scalar string, the file's bytes.
    """
    data = tf.io.decode_raw(tf.strings.substr(contents, 0, _EXIF_BYTES), tf.uint8)
    # Whatever a damaged file claims is read from zeros.
    data = tf.concat([tf.cast(data, tf.int32), tf.zeros((16,), tf.int32)], 0)
    last = tf.size(data) - 1

    def byte(place):
        return data[tf.clip_by_value(place, 0, last)]

    def number(place, count, little):
        """An unsigned integer of 2 or 4 bytes."""
        places = tf.range(count)
        powers = tf.where(little, places, count - 1 - places)
        values = tf.gather(data, tf.clip_by_value(place + places, 0, last))
        # Below 2^31 where it matters: larger ones lie beyond the data either way.
        weights = tf.gather([1, 1 << 8, 1 << 16, 1 << 24], powers)
        return tf.reduce_sum(tf.minimum(values, 127 if count == 4 else 255) * weights)

    def is_exif(place):
        header = tf.gather(data, tf.clip_by_value(place + 4 + tf.range(6), 0, last))
        return (byte(place + 1) == _APP1) & tf.reduce_all(header == list(b"Exif\0\0"))

    def goes_on(place, count):
        is_marker = (byte(place) == 0xFF) & (byte(place + 1) != _SCAN)
        return is_marker & (count < _SEGMENTS) & ~is_exif(place)

    def following(place, count):
        return place + 2 + number(place + 2, 2, False), count + 1

    place, _ = tf.while_loop(goes_on, following, (tf.constant(2), tf.constant(0)))

    def found():
        start = place + 10  # of the TIFF structure inside
        little = byte(start) == ord("I")
        directory = start + number(start + 4, 4, little)
        entries = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2, little), 512))
        tags = tf.map_fn(lambda entry: number(entry, 2, little), entries)
        values = tf.map_fn(lambda entry: number(entry + 8, 2, little), entries)
        ours = tf.boolean_mask(values, tags == _ORIENTATION)
        value = tf.concat([ours, [1]], 0)[0]
        return tf.where((value >= 1) & (value <= 8), value, 1)

    is_jpeg = _begins_with(contents, JPEG_SIGNATURE)
    return tf.cond(is_jpeg & is_exif(place), found, lambda: tf.constant(1))


def _no_image(error: tf.Tensor | str = "") -> Decoded:
    return Decoded(tf.zeros((0, 0, 3), tf.uint8), tf.convert_to_tensor(error))
