"""Prediction on files: sizes, names, failures, and ids equal to the model's own argmax."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.palettes import default_palette, overlay
from keras_ctxseg.evaluation import predict
from keras_ctxseg.prediction.image_files import find_images, output_names

CLASSES = 4
NAMES = ("sky", "road", "boat", "car")
PALETTE = default_palette(CLASSES)


def write_image(path, size, seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def labels_of(model, pixels, scale=1.0):
    height, width = pixels.shape[:2]
    image = tf.image.resize(pixels[None], (round(height * scale), round(width * scale)))
    logits = tf.image.resize(model(image)["logits"], (height, width))
    return keras.ops.convert_to_numpy(logits).argmax(-1)[0]


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_labels_and_overlays_have_the_images_own_size(model, tmp_path, scale):
    first = write_image(tmp_path / "in" / "a.png", (20, 30), 0)
    second = write_image(tmp_path / "in" / "deep" / "b.png", (17, 13), 1)
    out = tmp_path / "out"
    result = predict(model, tmp_path / "in", out, PALETTE, NAMES, image_scale=scale)
    assert not result.failures
    for name, pixels in (("a", first), ("deep/b", second)):
        expected = labels_of(model, pixels, scale)
        with Image.open(out / "labels" / f"{name}.png") as file:
            assert file.mode == "P"
            np.testing.assert_array_equal(np.asarray(file), expected)
            colors = np.asarray(file.convert("RGB"))
        np.testing.assert_array_equal(colors, PALETTE[expected])
        drawn = np.asarray(Image.open(out / "overlays" / f"{name}.jpg"), int)
        assert drawn.shape == pixels.shape
        assert np.abs(drawn - overlay(pixels, expected, PALETTE)).mean() < 6  # JPEG of noise
    written = json.loads((out / "predictions.json").read_text())
    entry = written["images"][0]
    assert (entry["labels"], entry["height"], entry["width"]) == ("labels/a.png", 20, 30)
    shares = {NAMES[k]: (labels_of(model, first, scale) == k).mean() for k in range(CLASSES)}
    assert entry["shares"] == pytest.approx({k: v for k, v in shares.items() if v}, abs=1e-6)


def test_files_that_fail_do_not_stop_the_others(model, tmp_path):
    write_image(tmp_path / "good.png", (16, 16))
    (tmp_path / "empty.png").touch()
    whole = tmp_path / "whole.jpg"
    write_image(whole, (64, 64))
    (tmp_path / "torn.jpg").write_bytes(whole.read_bytes()[:900])
    (tmp_path / "text.png").write_text("not an image")
    result = predict(model, tmp_path, tmp_path / "out", PALETTE, NAMES)
    assert [image.path.name for image in result.images] == ["good.png", "whole.jpg"]
    assert [path.name for path, _ in result.failures] == ["empty.png", "text.png", "torn.jpg"]
    for path, message in result.failures:
        assert str(path) in message
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(written["failures"]) == 3


def test_grey_and_transparent_images_are_read_as_rgb(model, tmp_path):
    grey = np.random.default_rng(2).integers(0, 256, (12, 14), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    result = predict(model, tmp_path / "grey.png", tmp_path / "out", PALETTE, NAMES)
    expected = labels_of(model, np.repeat(grey[..., None], 3, -1))
    np.testing.assert_array_equal(np.asarray(Image.open(result.images[0].labels)), expected)


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_turned_images_are_seen_upright_and_labelled_as_stored(model, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    write_image(tmp_path / "turned.jpg", (12, 20), exif=exif)
    result = predict(model, tmp_path / "turned.jpg", tmp_path / "out", PALETTE, NAMES)
    assert (result.images[0].height, result.images[0].width) == (12, 20)
    found = Image.open(result.images[0].labels)
    turned = found.copy()
    turned.getexif()[0x0112] = orientation
    with Image.open(tmp_path / "turned.jpg") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
        stored = np.asarray(image)
    expected = labels_of(model, upright)
    np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(turned)), expected)
    with Image.open(result.images[0].overlay) as overlay:
        assert overlay.getexif()[0x0112] == orientation
        assert overlay.size == (20, 12)
    result = predict(
        model, tmp_path / "turned.jpg", tmp_path / "out", PALETTE, NAMES,
        reading=ImageReading(exif="keep"),
    )  # fmt: skip
    found = np.asarray(Image.open(result.images[0].labels))
    np.testing.assert_array_equal(found, labels_of(model, stored))


def test_nothing_in_a_folder_is_left_out_in_silence(model, tmp_path):
    photos = tmp_path / "photos"
    for name in ("a.tif", "b.webp", "c.bmp", "d.png", "e"):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8))
        photos.mkdir(exist_ok=True)
        image.save(photos / name, format="PNG" if name == "e" else None)
    (photos / "phone.heic").write_bytes(b"....ftypheic")
    (photos / "notes.txt").write_text("notes")
    result = predict(model, photos, tmp_path / "out", PALETTE, NAMES)
    assert [image.path.name for image in result.images] == [
        "a.tif",
        "b.webp",
        "c.bmp",
        "d.png",
        "e",
    ]
    ((path, message),) = result.failures
    assert path.name == "phone.heic" and "expected a readable image" in message
    assert [path.name for path in result.left_out] == ["notes.txt"]
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert written["left_out"] == [str(photos / "notes.txt")]


def test_a_second_run_does_not_take_results_for_images(model, tmp_path):
    write_image(tmp_path / "a.png", (8, 8))
    for _ in range(2):
        result = predict(model, tmp_path, tmp_path / "out", PALETTE, NAMES)
        assert [image.path.name for image in result.images] == ["a.png"]


def test_finds_files_folders_and_globs(tmp_path):
    for name in ("x/a.jpg", "x/y/b.PNG", "x/y/c.txt", "x/d.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(paths):
        return [path.relative_to(tmp_path).as_posix() for path in find_images(paths)]

    assert names(tmp_path) == ["x/a.jpg", "x/d.jpeg", "x/y/b.PNG"]
    assert names(tmp_path / "x/a.jpg") == ["x/a.jpg"]
    assert names(str(tmp_path / "**/*.jp*g")) == ["x/a.jpg", "x/d.jpeg"]
    assert names([tmp_path / "x/y", tmp_path / "x/a.jpg", tmp_path]) == names(tmp_path)


def test_output_names_are_all_different(tmp_path):
    files = [tmp_path / name for name in ("a.jpg", "a.png", "b.png", "deep/a.png")]
    names = [name.as_posix() for name in output_names(files)]
    assert names == ["a.jpg", "a.png", "b", "deep/a"]
    assert [name.as_posix() for name in output_names(files[3:])] == ["a"]


def test_errors_name_what_is_missing(model, tmp_path):
    write_image(tmp_path / "photo.png", (8, 8))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"fhoto.png.*nothing there. Did you mean 'photo.png'"):
        predict(model, tmp_path / "fhoto.png", tmp_path / "out", PALETTE, NAMES)
    with pytest.raises(ValueError, match=r"nothing: expected files ending in .jpg.*Found none"):
        predict(model, tmp_path / "nothing", tmp_path / "out", PALETTE, NAMES)
    with pytest.raises(ValueError, match=r"\*.jpg: expected files.*Found none"):
        predict(model, str(tmp_path / "*.jpg"), tmp_path / "out", PALETTE, NAMES)
    with pytest.raises(ValueError, match=r"palette.*\(4, 3\).*\(3, 3\)"):
        predict(model, tmp_path, tmp_path / "out", PALETTE[:3], NAMES)
    with pytest.raises(ValueError, match="logits have 4 classes"):
        predict(model, tmp_path, tmp_path / "out", PALETTE[:3], NAMES[:3])
