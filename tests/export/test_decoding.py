import io
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.orientation import upright
from keras_ctxseg.export import ServingModule
from keras_ctxseg.export.saved_model.decoding import decode_image, jpeg_orientation
from tests.export.encoded_files import damaged, encode, huge_jpeg, huge_png, originals
from tests.export.exporting import random_image


@pytest.fixture(scope="module")
def serving(model):
    return ServingModule(model, ignore_label=200)


def one(serving, file):
    outputs = serving.segment_files(tf.constant([file]))
    return {name: value[0].numpy() for name, value in outputs.items()}


BAD = {
    "nothing": (b"", "expected the bytes of a JPEG or PNG file, received something else, of 0 byt"),
    "zeros": (bytes(500), "received something else, of 500 bytes"),
    "text": (b"<html>not an image</html>", "received something else, of 25 bytes"),
    "gif": (encode(random_image(40, 40), "GIF"), "received something else"),
    "bmp": (encode(random_image(40, 40), "BMP"), "received something else"),
    "webp": (encode(random_image(40, 40), "WEBP"), "received something else"),
    "png signature": (b"\x89PNG\r\n\x1a\n", "this PNG file is damaged or cut off"),
    "jpeg signature": (b"\xff\xd8\xff", "this JPEG file is damaged or cut off"),
    "half a png": (encode(random_image(60, 60))[:2000], "this PNG file is damaged or cut off"),
    "half a jpeg": (encode(random_image(60, 60), "JPEG")[:900], "this JPEG file is damaged"),
    "a png's header": (encode(random_image(60, 60))[:40], "this PNG file is damaged or cut off"),
    "no end": (encode(random_image(60, 60), "JPEG")[:-2], "this JPEG file is damaged or cut off"),
    "huge png": (huge_png(60_000, 50_000), "at most 33554432 pixels, received 50000x60000"),
    "endless png": (huge_png(2**31 - 1, 2**31 - 1), "at most 33554432 pixels"),
    "huge jpeg": (huge_jpeg(random_image(60, 60)), "at most 33554432 pixels, received 65000x65000"),
    "no height": (huge_png(60, 0), "at least 33 pixels a side after scaling by 1, received 0x60"),
    "small": (encode(random_image(32, 80)), "at least 33 pixels a side .*, received 32x80"),
}


@pytest.mark.parametrize("name", BAD, ids=list(BAD))
def test_a_bad_file_says_why(serving, name):
    file, message = BAD[name]
    answer = one(serving, file)
    assert_error(answer, message)
    assert answer["labels"].size == 0


def assert_error(answer, message):
    assert re.search(message, answer["errors"].decode()), answer["errors"]
    assert answer["sizes"].tolist() == [0, 0]
    assert (answer["labels"] == 200).all()
    assert (answer["scores"] == 0).all()


@pytest.mark.parametrize("name", list(originals(random_image(8, 8))))
def test_a_sound_file_is_read_as_pillow_reads_it(name):
    """To the last bit; for JPEG that needs the accurate transform, TensorFlow's default is not."""
    file = originals(random_image(48, 64))[name]
    picture = Image.open(io.BytesIO(file))
    pixels = np.asarray(picture)
    if pixels.dtype == np.uint16:
        rgb = np.dstack([np.uint8(pixels >> 8)] * 3)
    else:
        rgb = np.asarray(picture.convert("RGB"))
    decoded = decode_image(tf.constant(file), lambda size: tf.constant(""))
    assert decoded.error.numpy() == b""
    np.testing.assert_array_equal(decoded.image, rgb)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_file_is_labelled_as_its_pixels_are(serving, format):
    file = encode(random_image(48, 64), format)
    rgb = np.asarray(Image.open(io.BytesIO(file)))
    expected = serving.labels(np.float32(rgb[np.newaxis]))["labels"][0]
    np.testing.assert_array_equal(one(serving, file)["labels"], expected)


def test_one_bad_image_of_eight_spoils_no_other(serving):
    images = [random_image(40 + 5 * index, 60 - index, seed=index) for index in range(8)]
    files = [encode(image, "PNG" if index % 2 else "JPEG") for index, image in enumerate(images)]
    sound = serving.segment_files(tf.constant(files))
    files[3] = files[3][: len(files[3]) // 2]
    outputs = {
        name: value.numpy() for name, value in serving.segment_files(tf.constant(files)).items()
    }
    assert_error({name: value[3] for name, value in outputs.items()}, "PNG file is damaged")
    for index in set(range(8)) - {3}:
        height, width = images[index].shape[:2]
        assert outputs["errors"][index] == b""
        assert outputs["sizes"][index].tolist() == [height, width]
        for name in ("labels", "scores"):
            np.testing.assert_array_equal(
                outputs[name][index, :height, :width], sound[name][index, :height, :width]
            )


def test_no_damage_fails_a_request(serving):
    random = np.random.default_rng(0)
    sound = list(originals(random_image(40, 48)).values())
    refused = 0
    for _ in range(40):
        files = [damaged(random, sound[index % len(sound)]) for index in range(10)]
        # A file may still be readable; then its size is an image's, and all labels are classes.
        outputs = serving.segment_files(tf.constant(files))
        for error, size, labels in zip(
            outputs["errors"].numpy(), outputs["sizes"].numpy(), outputs["labels"].numpy(),
            strict=True,
        ):  # fmt: skip
            refused += error != b""
            assert (error == b"") == (size.min() >= 33)
            assert labels[: size[0], : size[1]].max(initial=0) < 5
            assert (labels[size[0] :] == 200).all()
    # By chance of the seed; what matters is that both kinds occur.
    assert 50 < refused < 390


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("maker", [None, "Maker", "Camera of a long name " * 20])
def test_jpeg_orientation(orientation, maker):
    exif = Image.Exif()
    if maker:
        exif[0x010F] = maker
    exif[0x0112] = orientation
    for big_endian in (False, True):
        file = encode(random_image(40, 48), "JPEG", exif=exif.tobytes())
        if big_endian:
            entry = bytes([1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0])
            block = b"Exif\0\0MM\0*\0\0\0\x08\0\1" + entry + bytes(4)
            length = (len(block) + 2).to_bytes(2, "big")
            plain = encode(random_image(40, 48), "JPEG")
            file = plain[:2] + b"\xff\xe1" + length + block + plain[2:]
        assert int(jpeg_orientation(tf.constant(file))) == orientation
        assert int(jpeg_orientation(tf.constant(file[:25]))) == 1
    for other in (encode(random_image(40, 48), "JPEG"), encode(random_image(40, 48)), b""):
        assert int(jpeg_orientation(tf.constant(other))) == 1


@pytest.mark.parametrize("orientation", [3, 5, 6])
def test_a_turned_photo_is_seen_upright_and_labelled_as_stored(serving, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encode(random_image(40, 64), "JPEG", exif=exif.tobytes())
    answer = one(serving, file)
    with Image.open(io.BytesIO(file)) as stored:
        shown = np.float32(ImageOps.exif_transpose(stored))
    expected = serving.labels(shown[np.newaxis])["labels"][0].numpy()
    assert answer["sizes"].tolist() == [40, 64]
    np.testing.assert_array_equal(upright(answer["labels"], orientation), expected)


def test_range_and_bands_are_those_of_training(model):
    reading = ImageReading.of({"range": [[100, 3000], [0, 4095], [0, 2000]], "bands": [3, 1, 2]})
    stored = np.random.default_rng(0).integers(0, 4096, (40, 48, 3)).astype(np.uint16)
    for values in (stored, (stored >> 4).astype(np.uint8)):
        file = tf.io.encode_png(values)
        decoded = decode_image(file, lambda size: tf.constant(""), reading)
        np.testing.assert_array_equal(decoded.image, reading.pixels(values))
