"""Image files of every kind, read against the arrays that were written."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from keras_ctxseg.data.image_reading import ImageReading, ReadingError, rgb_of
from keras_ctxseg.data.images import FileError, read_image, read_stored

SIZE = (40, 52)


@pytest.fixture
def random():
    return np.random.default_rng(5)


def write(path, array, **options):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array, **options)
    else:
        Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.webp", "a.bmp", "a.tif", "a.npy", "a.png", "a.ppm"])
def test_rgb_of_any_format(tmp_path, random, name):
    image = random.integers(0, 256, (*SIZE, 3), np.uint8)
    options = {"lossless": True} if name == "a.webp" else {}
    path = write(tmp_path / name, image, **options)
    np.testing.assert_array_equal(read_image(path), image)


def test_a_gif_s_first_picture(tmp_path):
    first, second = (Image.new("RGB", SIZE[::-1], color) for color in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif")[0, 0], [255, 0, 0])


@pytest.mark.parametrize(
    "layout, options",
    [
        ("pixels", {"photometric": "minisblack", "planarconfig": "contig"}),
        ("planes", {"photometric": "minisblack", "planarconfig": "separate"}),
        ("pages", {"photometric": "minisblack"}),
        ("tiles", {"photometric": "minisblack", "planarconfig": "contig", "tile": (16, 16)}),
        ("npy", None),
        ("npy planes", None),
    ],
)
def test_bands_of_any_layout(tmp_path, random, layout, options):
    bands = random.integers(0, 65536, (*SIZE, 5)).astype(np.uint16)
    planes = np.moveaxis(bands, -1, 0)
    if layout == "pages":
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for plane in planes:
                writer.write(plane, contiguous=False, **options)
        path = tmp_path / "a.tif"
    else:
        path = tmp_path / ("a.npy" if options is None else "a.tif")
        write(path, planes if "planes" in layout else bands, **(options or {}))
    np.testing.assert_array_equal(read_stored(path).values, bands)
    np.testing.assert_array_equal(read_image(path), bands >> 8)
    reading = ImageReading.of({"bands": [4, 1], "range": [[0, 1000], [500, 65000]]})
    low, high = np.array([0, 500]), np.array([1000, 65000])
    expected = (bands[..., [3, 0]].astype(np.float64) - low) / (high - low) * 255
    found = read_image(path, reading)
    np.testing.assert_allclose(found, np.clip(expected, 0, 255), atol=0.51)


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colours_keep_their_range(tmp_path, random, channels):
    import cv2

    image = random.integers(0, 4096, (*SIZE, channels)).astype(np.uint16)
    order = [2, 1, 0, 3][:channels]
    cv2.imwrite(str(tmp_path / "a.png"), image[..., order])
    reading = ImageReading.of({"range": [0, 4095]})
    expected = np.round(image[..., :3] / 4095 * 255)
    np.testing.assert_allclose(read_image(tmp_path / "a.png", reading), expected, atol=1)


def test_transparency_is_not_a_band_of_tiff_files_that_declare_it(tmp_path, random):
    image = random.integers(0, 256, (*SIZE, 4), np.uint8)
    declared = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    path = write(tmp_path / "a.tif", image, **declared)
    np.testing.assert_array_equal(read_image(path), image[..., :3])
    assert read_stored(path).drops_alpha
    whole = read_image(path, ImageReading.of({"bands": [1, 2, 3, 4]}))
    np.testing.assert_array_equal(whole, image)
    undeclared = {"photometric": "minisblack", "planarconfig": "contig"}
    path = write(tmp_path / "b.tif", image, **undeclared)
    np.testing.assert_array_equal(read_image(path), image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png", "a.tif"])
def test_exif_orientation(tmp_path, random, orientation, name):
    image = Image.fromarray(random.integers(0, 256, (*SIZE, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    if name == "a.tif":
        tifffile.imwrite(
            tmp_path / name,
            np.asarray(image),
            photometric="rgb",
            extratags=[(274, "H", 1, orientation, True)],
        )
        stored = np.asarray(image)
        expected = np.asarray(ImageOps.exif_transpose(_with(image, exif)))
    else:
        image.save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as saved:
            stored = np.asarray(saved)
            expected = np.asarray(ImageOps.exif_transpose(saved))
    np.testing.assert_array_equal(read_image(tmp_path / name), expected)
    kept = read_image(tmp_path / name, ImageReading(exif="keep"))
    np.testing.assert_array_equal(kept, stored)


def _with(image, exif):
    image = image.copy()
    image.getexif()[0x0112] = exif[0x0112]
    return image


def test_limit_of_pixels(tmp_path, random):
    path = write(tmp_path / "a.png", random.integers(0, 256, (*SIZE, 3), np.uint8))
    with pytest.raises(FileError, match=r"a.png: expected at most 2,000 pixels .*Found: 40x52"):
        read_image(path, ImageReading(max_pixels=2000))


def test_values_without_a_natural_range_need_one(tmp_path, random):
    path = write(tmp_path / "a.npy", random.normal(size=(*SIZE, 3)).astype(np.float32))
    with pytest.raises(FileError, match=r"a.npy: expected values of 8 or 16 .* `range`.*float32"):
        read_image(path)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"exiv": "keep"}, r"`images.exiv`: expected one of exif, .* Did you mean 'exif'"),
        ({"exif": "turn"}, r"`images.exif`: expected one of upright, keep. Received: 'turn'"),
        ({"bands": [0, 1]}, r"`images.bands`: expected a list of band numbers, from 1"),
        ({"bands": []}, r"`images.bands`"),
        ({"range": [5, 5]}, r"`images.range`: expected 'auto', \[low, high\] with low below high"),
        ({"range": "otto"}, r"`images.range`"),
        ({"range": [[0, 1], [2]]}, r"`images.range`"),
        ({"show": [1, 2]}, r"`images.show`: expected three channel numbers"),
        ({"max_pixels": 0}, r"`images.max_pixels`: expected a whole number above 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ReadingError, match=message):
        ImageReading.of(options)


def test_a_band_that_is_not_there(tmp_path, random):
    path = write(tmp_path / "a.png", random.integers(0, 256, (*SIZE, 3), np.uint8))
    with pytest.raises(FileError, match=r"a.png: expected the bands 1, 7. Found: 3 bands"):
        read_image(path, ImageReading.of({"bands": [1, 7]}))


def test_pictures_show_three_channels(random):
    image = random.integers(0, 256, (*SIZE, 5), np.uint8)
    np.testing.assert_array_equal(rgb_of(image), image[..., :3])
    np.testing.assert_array_equal(rgb_of(image, (5, 3, 1)), image[..., [4, 2, 0]])
    np.testing.assert_array_equal(rgb_of(image[..., :1]), np.repeat(image[..., :1], 3, -1))
    with pytest.raises(ValueError, match=r"`show`: expected channels of 1 ... 5"):
        rgb_of(image, (1, 2, 6))
