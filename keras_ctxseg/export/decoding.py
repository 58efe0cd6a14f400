"""From the bytes of a JPEG or PNG file to RGB, inside the TensorFlow graph."""

import tensorflow as tf

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"


def decode_image(contents: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG or PNG file to three channels.

    Gray and palette images become RGB, an alpha channel (or a transparent palette entry) is
    dropped without blending, 16-bit PNGs keep their upper 8 bits, and an EXIF orientation is not
    applied. Other formats, animated ones such as GIF among them, are refused.

    Args:
        contents: scalar string, the file's bytes.
        index: scalar integer, the image's place in its batch, named in the error.

    Returns:
        uint8 tensor (height, width, 3), RGB.

    Raises:
        tf.errors.InvalidArgumentError: when run on something that is not a JPEG or PNG file.
    """
    is_png = tf.equal(tf.strings.substr(contents, 0, len(PNG_SIGNATURE)), PNG_SIGNATURE)
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG_SIGNATURE)), JPEG_SIGNATURE)
    known = tf.debugging.Assert(
        is_png | is_jpeg,
        [
            "images: expected the bytes of a JPEG or PNG file. Received at index",
            index,
            "something else, of length",
            tf.strings.length(contents),
        ],
    )
    with tf.control_dependencies([known]):
        # The accurate transform gives the pixels that Pillow gives; TensorFlow's default does not.
        return tf.cond(
            is_png,
            lambda: tf.io.decode_png(contents, channels=3),
            lambda: tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE"),
        )
