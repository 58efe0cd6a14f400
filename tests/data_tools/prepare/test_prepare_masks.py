"""Masks in colours, palettes and grey values, against the ids they were painted from."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg import data
from keras_ctxseg.cli import main
from keras_ctxseg.data.class_file import read_class_file
from keras_ctxseg.data_tools.prepare import (
    Splitting,
    note_reading,
    prepare_masks,
    read_color_table,
)


def prepare(root, **options):
    return prepare_masks(
        str(root / "photos"),
        str(root / "masks"),
        root / "out",
        **{"colors": root / "colors.txt", **options},
    )


def message(root, **options):
    with pytest.raises(ValueError) as error:
        prepare(root, **options)
    assert not (root / "out").exists()
    assert not list(root.glob(".out*"))
    return str(error.value)


def test_colours_become_ids_that_load(raw, labels_of):
    root, ids = raw
    prepared = prepare(root)
    assert prepared.splits == {"train": 8, "val": 2}
    written = labels_of(root / "out")
    assert written.keys() == ids.keys()
    for name, mask in written.items():
        np.testing.assert_array_equal(mask, ids[name])
    dataset = data.load("folder", path=root / "out")
    assert dataset.class_names == ("sky", "road", "car")
    np.testing.assert_array_equal(dataset.palette, [(70, 130, 180), (128, 64, 128), (0, 0, 142)])
    for example in dataset.examples("val"):
        np.testing.assert_array_equal(example["label"], ids[example["name"].numpy().decode()])
    # Images are copied, not coded anew.
    for path in (root / "out").glob("*/images/*"):
        assert path.read_bytes() == (root / "photos" / path.name).read_bytes()


def test_without_a_table_each_colour_is_a_class(raw, labels_of):
    root, ids = raw
    names = prepare(root, colors=None).class_names
    written = labels_of(root / "out")
    present = np.concatenate([mask.ravel() for mask in ids.values()])
    order = sorted(set(present.tolist()), key=lambda index: -(present == index).sum())
    colors = {0: "4682b4", 1: "804080", 2: "00008e", 255: "000000"}
    assert names == tuple(f"color_{colors[index]}" for index in order)
    for name, mask in written.items():
        np.testing.assert_array_equal(np.array(order)[mask], ids[name])


@pytest.mark.parametrize("unknown, expected", [("nearest", 1), ("void", 255)])
def test_colours_outside_the_table(raw, labels_of, unknown, expected):
    root, ids = raw
    rgb = np.array(Image.open(root / "masks/a3.png"))
    rgb[2, 5] = (120, 70, 120)  # near road's
    Image.fromarray(rgb).save(root / "masks/a3.png")
    text = message(root)
    assert "a3.png: expected the 4 colours of the table. Found: #784678 (1 pixels)" in text
    prepare(root, unknown=unknown)
    ids["a3"][2, 5] = expected
    np.testing.assert_array_equal(labels_of(root / "out")["a3"], ids["a3"])


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_ids_through_a_class_file(raw, labels_of, mode):
    root, ids = raw
    raw_values = {0: 4, 1: 7, 2: 9, 255: 200}
    for name, mask in ids.items():
        values = np.vectorize(raw_values.get)(mask).astype(np.uint8)
        image = Image.fromarray(values)
        if mode == "P":
            image.putpalette(list(range(256)) * 3)
        image = image if mode == "P" else image.convert(mode)
        image.save(root / "masks" / f"{name}.png")
    (root / "mine.json").write_text(
        json.dumps(
            {
                "classes": ["sky", "road", "car"],
                "label_map": {"4": 0, "7": 1, "9": 2},
                "void": 200,
            }
        )
    )
    prepare(root, colors=None, ids=root / "mine.json")
    for name, mask in labels_of(root / "out").items():
        np.testing.assert_array_equal(mask, ids[name])


def test_mask_suffix_is_suggested_and_used(raw, labels_of):
    root, ids = raw
    for path in (root / "masks").iterdir():
        path.rename(path.with_name(f"{path.stem}_L.png"))
    assert "--mask-suffix _L would make 10 pairs" in message(root)
    prepare(root, mask_suffix="_L")
    assert labels_of(root / "out").keys() == ids.keys()


def test_images_and_masks_in_one_folder(raw, labels_of):
    root, ids = raw
    for path in (root / "masks").iterdir():
        path.rename(root / "photos" / f"{path.stem}_mask.png")
    prepare_masks(
        str(root / "photos"),
        str(root / "photos"),
        root / "out",
        colors=root / "colors.txt",
        mask_suffix="_mask",
    )
    assert labels_of(root / "out").keys() == ids.keys()


def test_splits_that_exist(raw, labels_of):
    root, _ = raw
    for kind, suffix in (("photos", "jpg"), ("masks", "png")):
        for index in range(10):
            folder = root / kind / ("train" if index < 7 else "test")
            folder.mkdir(exist_ok=True)
            (root / kind / f"a{index}.{suffix}").rename(folder / f"a{index}.{suffix}")
    prepared = prepare_masks(
        str(root / "photos/{split}"),
        str(root / "masks/{split}"),
        root / "out",
        colors=root / "colors.txt",
        splits=["train", "test"],
    )
    assert prepared.splits == {"train": 7, "test": 3}
    assert (root / "out/test/labels/a8.png").is_file()


def test_other_formats_become_png_and_subfolders_names(raw):
    root, _ = raw
    (root / "photos/sub").mkdir()
    (root / "masks/sub").mkdir()
    image = Image.open(root / "photos/a1.jpg")
    image.save(root / "photos/sub/b.bmp")
    Image.open(root / "masks/a1.png").save(root / "masks/sub/b.tif")
    prepare(root)
    (written,) = (root / "out").glob("*/images/sub__b.png")
    np.testing.assert_array_equal(Image.open(written), image)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("drawn", ["upright", "stored"])
def test_exif(raw, labels_of, orientation, drawn):
    root, _ = raw
    stored = Image.open(root / "photos/a1.jpg")
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.asarray(stored)
    stored.save(root / "photos/a1.jpg", exif=exif, quality=95)
    turns = {3: 2, 6: 3, 8: 1}[orientation]  # counter-clockwise quarters that viewers turn by
    mask = Image.open(root / "masks/a1.png")
    if drawn == "upright":
        mask = Image.fromarray(np.rot90(np.asarray(mask), turns))
        mask.save(root / "masks/a1.png")
    # Half a turn keeps the size: it has to be told when the mask is of the stored pixels.
    prepare(root, exif="stored" if (orientation, drawn) == (3, "stored") else "auto")
    (written,) = (root / "out").glob("*/images/a1.jpg")
    image = Image.open(written)
    assert image.getexif().get(0x0112, 1) == 1
    expected = np.rot90(pixels, turns) if drawn == "upright" else pixels
    assert np.abs(np.asarray(image).astype(int) - expected).mean() < 12  # coded twice, noise


class TestRefusals:
    def test_output_that_is_there(self, raw):
        root, _ = raw
        (root / "out").mkdir()
        (root / "out/mine.txt").write_text("dear to me")
        with pytest.raises(ValueError, match="out: expected a folder that does not exist yet"):
            prepare(root)
        assert (root / "out/mine.txt").read_text() == "dear to me"

    def test_all_problems_at_once(self, raw):
        root, _ = raw
        for index in range(7):
            (root / f"masks/a{index}.png").write_bytes(b"no image")
        text = message(root)
        assert text.count("expected a readable image") == 5
        assert "and 2 more" in text

    def test_skipped_on_request(self, raw):
        root, _ = raw
        (root / "masks/a1.png").write_bytes(b"no image")
        prepared = prepare(root, skip_errors=True)
        assert sum(prepared.splits.values()) == 9
        assert [problem.path.name for problem in prepared.skipped] == ["a1.png"]

    def test_size(self, raw):
        root, _ = raw
        Image.new("RGB", (20, 45)).save(root / "masks/a1.png")
        text = message(root)
        assert "a1.jpg: expected a mask of 45x54 (height x width). Found: 45x20" in text

    def test_too_many_colours(self, raw, rng):
        root, _ = raw
        noise = rng.integers(0, 256, (45, 54, 3), np.uint8)
        Image.fromarray(noise).save(root / "masks/a1.png")
        assert "prepare-data colors" in message(root, colors=None)

    def test_unpaired(self, raw):
        root, _ = raw
        (root / "masks/a1.png").unlink()
        assert "a1.jpg: expected a mask of the same name" in message(root)
        assert sum(prepare(root, skip_unpaired=True).splits.values()) == 9

    @pytest.mark.parametrize("option", ["unknown", "exif"])
    def test_choices(self, raw, option):
        root, _ = raw
        assert f"`{option}`: expected one of" in message(root, **{option: "perhaps"})

    def test_split_in_the_path_alone(self, raw):
        root, _ = raw
        with pytest.raises(ValueError, match=r"expected no \{split\} in it"):
            prepare_masks(str(root / "{split}"), str(root / "masks"), root / "out")


class TestColorTables:
    @pytest.mark.parametrize(
        "text",
        [
            "128 64 0 road\n0,0,142 my car\n0 0 0 void",
            "# label:color_rgb:parts:actions\nroad:128,64,0::\nmy car:0,0,142::\nvoid:0,0,0::",
            "name,r,g,b\nroad,128,64,0\nmy car,0,0,142\nvoid,0,0,0",
            "128\t64\t0\troad # 3 %\n\n0\t0\t142\tmy car\n0 0 0\tvoid",
            '{"road": [128, 64, 0], "my car": "#00008e", "void": "#000000"}',
            '{"classes": ["road", "my car"], "palette": [[128, 64, 0], [0, 0, 142]],'
            ' "void_colors": [[0, 0, 0]]}',
        ],
    )
    def test_formats(self, tmp_path, text):
        (tmp_path / "colors").write_text(text)
        table = read_color_table(tmp_path / "colors")
        assert table.class_names == ("road", "my car")
        assert table.ids == {0x804000: 0, 0x00008E: 1, 0: 255}

    def test_equal_names_are_one_class(self, tmp_path):
        (tmp_path / "colors").write_text("1 1 1 car\n2 2 2 road\n3 3 3 car\n")
        table = read_color_table(tmp_path / "colors")
        assert table.class_names == ("car", "road")
        assert table.ids == {0x010101: 0, 0x020202: 1, 0x030303: 0}
        assert table.class_file()["palette"] == [[1, 1, 1], [2, 2, 2]]

    @pytest.mark.parametrize(
        "text, expected",
        [
            ("1 2 3 a\nnonsense 4\n", "line 2: expected \"red green blue name\". Found: 'nonsen"),
            ("1 2 3 a\n1 2 3 b\n", "expected one name for each colour. Found: [1, 2, 3] twice"),
            ("1 2 300 a\n", "'a': expected [red, green, blue] in 0 ... 255. Found: [1, 2, 300]"),
            ("0 0 0 void\n", "Found: no class"),
            ('{"a": "red"}', "'a': expected [red, green, blue]"),
        ],
    )  # fmt: skip
    def test_errors(self, tmp_path, text, expected):
        (tmp_path / "colors").write_text(text)
        with pytest.raises(ValueError) as error:
            read_color_table(tmp_path / "colors")
        assert expected in str(error.value)


class TestCommands:
    def test_colors_then_masks(self, raw, capsys, labels_of):
        root, ids = raw
        table = root / "found.txt"
        assert main(["prepare-data", "colors", str(root / "masks"), "--output", str(table)]) == 0
        text = table.read_text()
        share = 100 * np.mean([mask == 1 for mask in ids.values()])
        most = root / "masks" / (max(ids, key=lambda name: (ids[name] == 1).sum()) + ".png")
        assert f"color_804080   # {share:.2f} % in 10 masks, most in {most}\n" in text
        assert "--colors" in capsys.readouterr().out
        named = text.replace("color_804080", "road").replace("color_000000", "void")
        table.write_text(named)
        arguments = ["--images", root / "photos", "--masks", root / "masks", "--colors", table,
                     "--output", root / "out", "--val", "0.3", "--seed", "4"]  # fmt: skip
        assert main(["prepare-data", "masks", *map(str, arguments)]) == 0
        assert "Wrote" in capsys.readouterr().out
        written = labels_of(root / "out")
        road = json.loads((root / "out/classes.json").read_text())["classes"].index("road")
        for name, mask in written.items():
            np.testing.assert_array_equal(mask == road, ids[name] == 1)
        assert main(["check-data", str(root / "out")]) == 0

    def test_an_error_is_one_line(self, raw, capsys):
        root, _ = raw
        (root / "masks/a1.png").unlink()
        arguments = ["--images", root / "photos", "--masks", root / "masks", "--output", root / "o"]
        assert main(["prepare-data", "masks", *map(str, arguments)]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_same_seed_same_split(raw, tmp_path):
    root, _ = raw
    names = []
    for seed, out in ((1, "x"), (1, "y"), (2, "z")):
        prepare_masks(
            str(root / "photos"), str(root / "masks"), root / out, splitting=Splitting(seed=seed)
        )
        names.append(sorted(path.name for path in (root / out / "val/images").iterdir()))
    assert names[0] == names[1]
    assert names[0] != names[2]


def test_values_that_png_cannot_hold_are_copied(raw):
    import tifffile

    root, _ = raw
    with Image.open(root / "photos/a1.jpg") as image:
        values = np.asarray(image.convert("L")).astype(np.uint16) * 16
    tifffile.imwrite(root / "photos/c.tif", np.stack([values, values + 1], -1),
                     photometric="minisblack", planarconfig="contig")  # fmt: skip
    Image.open(root / "masks/a1.png").save(root / "masks/c.png")
    prepare(root)
    (written,) = (root / "out").glob("*/images/c.tif")
    assert written.read_bytes() == (root / "photos/c.tif").read_bytes()


def test_how_images_are_read_stands_in_the_class_file(raw):
    root, _ = raw
    prepare(root)
    note_reading(root / "out", {"range": [0, 200], "bands": (3, 1)})
    table = read_class_file(root / "out/classes.json")
    assert (table.images.range, table.images.bands) == (((0, 200),), (3, 1))
    assert data.load("folder", path=root / "out", mask_format="ids").channels == 2
    with pytest.raises(ValueError, match=r"`images.range`"):
        note_reading(root / "out", {"range": [2, 1]})
