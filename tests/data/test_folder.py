"""What the folder data set reads, against what was written."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg import data

MASK = "train/labels/01.png"


def read_label(root, **options):
    dataset = data.load("folder", path=root, **options)
    return list(dataset.examples("train"))[1]["label"].numpy()


def test_facts(write_folder):
    dataset = data.load("folder", path=write_folder())
    assert dataset.name == "photos"
    assert dataset.class_names == ("sky", "building", "road", "car")
    assert dataset.num_classes == 4
    assert dataset.ignore_label == 255
    assert dataset.splits == {"train": 5, "val": 2}
    assert dataset.palette.shape == (4, 3)


def test_examples_are_the_files_in_order(write_folder):
    root = write_folder()
    examples = list(data.load("folder", path=str(root)).examples("train"))
    assert [example["name"].numpy() for example in examples] == [
        b"00",
        b"01",
        b"02",
        b"03",
        b"04",
    ]
    for example in examples:
        name = example["name"].numpy().decode()
        image = np.asarray(Image.open(root / f"train/images/{name}.png"))
        mask = np.asarray(Image.open(root / f"train/labels/{name}.png")).astype(np.int32)
        np.testing.assert_array_equal(example["image"], image)
        np.testing.assert_array_equal(example["label"], np.where(mask == 9, 255, mask))
        assert example["image"].dtype == "uint8"
        assert example["label"].dtype == "int32"


def test_images_of_different_sizes(write_folder):
    root = write_folder()
    Image.new("RGB", (70, 35), (1, 2, 3)).save(root / "train/images/01.png")
    Image.new("L", (70, 35), 2).save(root / MASK)
    examples = list(data.load("folder", path=root).examples("train"))
    assert examples[1]["image"].shape == (35, 70, 3)
    assert examples[2]["image"].shape == (40, 52, 3)


@pytest.mark.parametrize("kind", ["grey", "palette", "alpha", "grey16", "jpeg"])
def test_every_kind_of_image_becomes_rgb(write_folder, kind):
    root = write_folder()
    path = root / "train/images/01.png"
    grey = np.random.default_rng(1).integers(0, 256, (40, 52), np.uint8)
    expected = np.repeat(grey[..., None], 3, -1)
    if kind == "grey":
        Image.fromarray(grey).save(path)
    elif kind == "grey16":
        Image.fromarray(grey.astype(np.uint16) * 256 + 77).save(path)
    elif kind == "alpha":
        Image.fromarray(np.concatenate([expected, grey[..., None]], -1)).save(path)
    elif kind == "palette":
        image = Image.fromarray(grey)
        palette = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
        image.putpalette(palette.tobytes())
        image.save(path)
        expected = palette[grey]
    else:
        path.unlink()
        path = path.with_suffix(".JPG")
        Image.fromarray(expected).save(path, quality=90)
        expected = np.asarray(Image.open(path).convert("RGB"))
    examples = list(data.load("folder", path=root).examples("train"))
    np.testing.assert_array_equal(examples[1]["image"], expected)


def test_jpeg_pixels_are_those_of_tensorflows_accurate_decoder(tmp_path):
    # Exported models decode in TensorFlow: training must see the same pixels.
    import tensorflow as tf

    smooth = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(smooth).resize((80, 60), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.jpg", quality=85)
    decoded = tf.io.decode_jpeg(
        tf.io.read_file(str(tmp_path / "a.jpg")), dct_method="INTEGER_ACCURATE"
    )
    np.testing.assert_array_equal(data.read_image(tmp_path / "a.jpg"), decoded)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_greys_of_any_depth_are_ids(write_folder, bits):
    import tensorflow as tf

    root = write_folder()
    ids = np.random.default_rng(3).integers(0, 2 if bits == 1 else 4, (40, 52))
    if bits == 16:
        Image.fromarray(ids.astype(np.uint16)).save(root / MASK)
    elif bits == 8:
        (root / MASK).write_bytes(tf.io.encode_png(ids.astype(np.uint8)[..., None]).numpy())
    else:
        (root / MASK).write_bytes(grey_png(ids, bits))
    np.testing.assert_array_equal(read_label(root), ids)


def grey_png(ids, bits):
    """A grey PNG of fewer than 8 bits, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    height, width = ids.shape
    digits = (ids[..., None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(digits.reshape(height, width * bits).astype(np.uint8), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_raw_ids_through_a_label_map(write_folder):
    label_map = {"7003": "car", "300": 1, "0": "void"}
    root = write_folder({"train": 2}, label_map=label_map, void=9)
    raw = np.random.default_rng(4).choice(np.array([7003, 300, 0, 9], np.uint16), (40, 52))
    for name in ("00", "01"):
        Image.fromarray(raw).save(root / f"train/labels/{name}.png")
    expected = np.select([raw == 7003, raw == 300], [3, 1], 255)
    np.testing.assert_array_equal(read_label(root), expected)


def test_palette_indices(write_folder):
    root = write_folder({"train": 2})
    ids = np.random.default_rng(5).integers(0, 4, (40, 52), np.uint8)
    for name in ("00", "01"):
        image = Image.fromarray(ids)
        image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200, 9, 9, 9])
        image.save(root / f"train/labels/{name}.png")
    np.testing.assert_array_equal(read_label(root, mask_format="palette"), ids)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours(write_folder, mode):
    colors = np.array([[128, 0, 0], [0, 128, 0], [0, 0, 128], [64, 64, 0]], np.uint8)
    root = write_folder({"train": 2}, palette=colors.tolist(), void_colors=[[0, 0, 0]])
    ids = np.random.default_rng(6).integers(0, 5, (40, 52))
    rgb = np.concatenate([colors, [[0, 0, 0]]]).astype(np.uint8)[ids]
    mask = Image.fromarray(rgb)
    mask = mask.quantize(5, dither=Image.Dither.NONE) if mode == "P" else mask.convert(mode)
    for name in ("00", "01"):
        mask.save(root / f"train/labels/{name}.png")
    label = read_label(root, mask_format="colors")
    np.testing.assert_array_equal(label, np.where(ids == 4, 255, ids))
    np.testing.assert_array_equal(
        data.load("folder", path=root, mask_format="colors").palette, colors
    )


def test_255_is_void_unless_the_class_file_names_another(write_folder):
    root = write_folder({"train": 2})
    (root / "classes.json").write_text(json.dumps({"classes": ["sky", "building"]}))
    ids = np.random.default_rng(7).choice(np.array([0, 1, 255], np.uint8), (40, 52))
    for name in ("00", "01"):
        Image.fromarray(ids).save(root / f"train/labels/{name}.png")
    np.testing.assert_array_equal(read_label(root), ids)


def test_class_file_of_another_place(write_folder, tmp_path):
    root = write_folder()
    (root / "classes.json").rename(tmp_path / "mine.json")
    dataset = data.load("folder", path=root, classes=tmp_path / "mine.json")
    assert dataset.class_names[0] == "sky"


def test_other_words_for_a_split_load_and_are_found_by_both_names(write_folder):
    root = write_folder()
    (root / "val").rename(root / "valid")
    dataset = data.load("folder", path=root)
    assert dict(dataset.splits) == {"train": 5, "val": 2}
    assert "valid" in dataset.splits and dataset.splits["valid"] == 2
    assert "test" not in dataset.splits
    assert dataset.reader("valid") is dataset.reader("val")


def test_files_that_tensorflow_cannot_decode_are_read_beside_those_it_can(write_folder):
    root = write_folder({"train": 4})
    images = []
    for number, suffix in enumerate([".png", ".webp", ".tif", ".bmp"]):
        with Image.open(root / f"train/images/{number:02d}.png") as image:
            images.append(np.asarray(image))
            if suffix != ".png":
                (root / f"train/images/{number:02d}.png").unlink()
                options = {"lossless": True} if suffix == ".webp" else {}
                image.save(root / f"train/images/{number:02d}{suffix}", **options)
    with Image.open(root / "train/labels/01.png") as mask:
        ids = np.asarray(mask)
        mask.save(root / "train/labels/01.tif")
    (root / "train/labels/01.png").unlink()
    examples = list(data.load("folder", path=root).examples("train"))
    for example, image in zip(examples, images, strict=True):
        np.testing.assert_array_equal(example["image"], image)
    np.testing.assert_array_equal(examples[1]["label"], np.where(ids == 9, 255, ids))


@pytest.mark.filterwarnings("ignore:.*turned upright")
@pytest.mark.parametrize("drawn", ["upright", "stored"])
@pytest.mark.parametrize("image_format", ["jpg", "webp"])
def test_masks_of_turned_images(write_folder, drawn, image_format):
    root = write_folder({"train": 2})
    with Image.open(root / "train/images/01.png") as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # viewers turn it clockwise
        image.save(root / f"train/images/01.{image_format}", exif=exif, quality=95)
    (root / "train/images/01.png").unlink()
    with Image.open(root / MASK) as mask:
        ids = np.asarray(mask) % 4
    Image.fromarray(np.rot90(ids, -1) if drawn == "upright" else ids).save(root / MASK)
    dataset = data.load("folder", path=root)
    assert dataset.reader("train").sizes.tolist() == [[40, 52], [52, 40]]
    example = list(dataset.examples("train"))[1]
    assert example["image"].shape == (52, 40, 3)
    np.testing.assert_array_equal(example["label"], np.rot90(ids, -1))


def test_range_and_bands_of_the_class_file_and_of_options(write_folder):
    root = write_folder({"train": 3}, images={"range": [0, 4095], "bands": [3, 1]})
    values = []
    for number in range(3):
        (root / f"train/images/{number:02d}.png").unlink()
        generator = np.random.default_rng(number)
        values.append(generator.integers(0, 4096, (40, 52, 4)).astype(np.uint16))
        np.save(root / f"train/images/{number:02d}.npy", values[-1])
    dataset = data.load("folder", path=root)
    assert dataset.channels == 2
    for example, stored in zip(dataset.examples("train"), values, strict=True):
        expected = stored[..., [2, 0]] / 4095 * 255
        np.testing.assert_allclose(example["image"], expected, atol=0.51)
    dataset = data.load("folder", path=root, bands=(2,), range="auto")
    low, high = np.percentile(np.stack(values)[..., 1], [0.5, 99.5])
    np.testing.assert_allclose(dataset.reading.range, [[low, high]], rtol=1e-3)
    example = next(iter(dataset.examples("train")))
    expected = np.clip((values[0][..., 1:2] - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(example["image"], expected, atol=0.6)


def test_images_of_other_channels_than_most_are_refused(write_folder):
    root = write_folder({"train": 3})
    (root / "train/images/01.png").unlink()
    np.save(root / "train/images/01.npy", np.zeros((40, 52, 4), np.uint8))
    with pytest.raises(ValueError, match=r"01.npy: expected 3 channels, as most .* Found: 4"):
        data.load("folder", path=root)


def test_a_file_that_is_damaged_later_is_named(write_folder):
    import tensorflow as tf

    root = write_folder({"train": 2})
    dataset = data.load("folder", path=root)
    content = (root / "train/images/01.png").read_bytes()
    (root / "train/images/01.png").write_bytes(content[:200])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"images/01.png: this file cannot be"):
        list(dataset.examples("train"))


@pytest.mark.parametrize("name", [b"caf\xe9", b"x" * 250, b"a\\b"])
def test_names_of_any_bytes(write_folder, name):
    import os

    root = write_folder({"train": 2})
    if len(name) == 250:
        name = name[:247]  # the longest that leaves room for a suffix is 251 bytes with it
    for kind in ("images", "labels"):
        folder = os.fsencode(root / "train" / kind)
        os.rename(folder + b"/01.png", folder + b"/" + name + b".png")
    examples = list(data.load("folder", path=root).examples("train"))
    assert {example["name"].numpy() for example in examples} == {b"00", name}


def test_composed_and_decomposed_accents_are_one_name(write_folder):
    import unicodedata

    root = write_folder({"train": 2})
    for kind, form in (("images", "NFC"), ("labels", "NFD")):
        name = unicodedata.normalize(form, "Zürich.png")
        (root / "train" / kind / "01.png").rename(root / "train" / kind / name)
    assert len(list(data.load("folder", path=root).examples("train"))) == 2
