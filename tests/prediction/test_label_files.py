"""Label files: what stands in them, as Pillow and the benchmarks' own definitions read it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.evaluation import label_format, predict

# helpers/labels.py of cityscapesscripts: name, id, trainId of the classes that are scored.
CITYSCAPES = """road 7 0,sidewalk 8 1,building 11 2,wall 12 3,fence 13 4,pole 17 5,
traffic light 19 6,traffic sign 20 7,vegetation 21 8,terrain 22 9,sky 23 10,person 24 11,
rider 25 12,car 26 13,truck 27 14,bus 28 15,train 31 16,motorcycle 32 17,bicycle 33 18"""
ROWS = [row.strip().rsplit(" ", 2) for row in CITYSCAPES.split(",")]
NAMES = [name for name, _, _ in ROWS]
LABEL_IDS = np.array([int(label) for _, label, _ in ROWS])


def read(path, mode):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", mode)
        return np.asarray(image)


def save(tmp_path, kind, names, labels):
    path = tmp_path / "labels.png"
    label_format(kind, names, default_palette(len(names))).save(path, labels)
    return path


def test_cityscapes_writes_label_ids_by_the_classes_names(tmp_path, rng):
    labels = rng.integers(0, 19, (9, 11))
    assert (read(save(tmp_path, "cityscapes", NAMES, labels), "L") == LABEL_IDS[labels]).all()
    order = rng.permutation(19)
    names = [NAMES[k].replace(" ", "_").title() for k in order]
    written = read(save(tmp_path, "cityscapes", names, labels), "L")
    np.testing.assert_array_equal(written, LABEL_IDS[order][labels])


def test_ade20k_counts_from_one(tmp_path, rng):
    labels = rng.integers(0, 150, (9, 11))
    names = [str(k) for k in range(150)]
    assert (read(save(tmp_path, "ade20k", names, labels), "L") == labels + 1).all()


@pytest.mark.parametrize(("classes", "mode"), [(4, "L"), (256, "L"), (300, "I;16")])
def test_ids_are_written_as_they_are(tmp_path, rng, classes, mode):
    labels = rng.integers(0, classes, (9, 11))
    labels[0, 0] = classes - 1
    names = [str(k) for k in range(classes)]
    assert (read(save(tmp_path, "ids", names, labels), mode) == labels).all()


def test_palette_shows_the_colours(tmp_path, rng):
    labels = rng.integers(0, 5, (9, 11))
    path = save(tmp_path, "palette", "abcde", labels)
    assert (read(path, "P") == labels).all()
    with Image.open(path) as image:
        assert (np.asarray(image.convert("RGB")) == default_palette(5)[labels]).all()


@pytest.mark.parametrize(
    ("kind", "image", "expected"),
    [
        ("cityscapes", "test/berlin/berlin_000000_000019_leftImg8bit", "berlin_000000_000019_pred"),
        ("cityscapes", "bad-honnef_000001_123456", "bad-honnef_000001_123456_pred"),
        ("ade20k", "ADE_test_00000001", "ADE_test_00000001"),
        ("palette", "a.b", "a.b"),
    ],
)
def test_names_are_those_that_the_servers_match(kind, image, expected):
    names = {"cityscapes": NAMES, "ade20k": range(150), "palette": "abc"}[kind]
    chosen = label_format(kind, [str(one) for one in names], default_palette(len(names)))
    assert chosen.file_name(Path(image)) == Path(image).with_name(f"{expected}.png")


def test_classes_and_names_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'cityscape'.*Did you mean 'cityscapes'"):
        label_format("cityscape", NAMES, default_palette(19))
    with pytest.raises(ValueError, match="19 classes, by their names.*among them lane"):
        label_format("cityscapes", ["lane", *NAMES[1:]], default_palette(19))
    with pytest.raises(ValueError, match="Received: 18 classes, without bicycle"):
        label_format("cityscapes", NAMES[:18], default_palette(18))
    with pytest.raises(ValueError, match="150 classes.*Received: 19"):
        label_format("ade20k", NAMES, default_palette(19))
    with pytest.raises(ValueError, match="'palette' holds 255 classes.*256"):
        label_format("palette", [str(k) for k in range(256)], default_palette(256))
    with pytest.raises(ValueError, match="photo: .*<city>_123456_123456"):
        label_format("cityscapes", NAMES, default_palette(19)).file_name(Path("photo"))


def test_predict_writes_the_format(model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    kinds = {}
    for kind in ("palette", "ids"):
        out = tmp_path / kind
        predict(model, tmp_path / "a.png", out, default_palette(4), "abcd", format=kind)
        kinds[kind] = read(out / "labels/a.png", {"palette": "P", "ids": "L"}[kind])
    np.testing.assert_array_equal(kinds["palette"], kinds["ids"])
    assert len(np.unique(kinds["ids"])) > 1
    with pytest.raises(ValueError, match="150 classes"):
        predict(
            model, tmp_path / "a.png", tmp_path / "n", default_palette(4), "abcd", format="ade20k"
        )
