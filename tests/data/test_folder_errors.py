"""Every refusal names the file, what was expected and what was found."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg import data

IMAGE, MASK = "train/images/01.png", "train/labels/01.png"


def message(root, **options) -> str:
    with pytest.raises(ValueError) as error:
        data.load("folder", path=root, **options)
    return str(error.value)


class TestMasks:
    def test_of_another_size(self, write_folder):
        root = write_folder()
        Image.new("L", (52, 41)).save(root / MASK)
        assert re.search(
            rf"{MASK}: expected the size of its image 01.png, 40x52 .* Found: 41x52",
            message(root),
        )

    def test_with_an_id_outside_the_classes(self, write_folder):
        root = write_folder()
        mask = np.zeros((40, 52), np.uint8)
        mask[4, 7:9] = 12
        mask[30, 0] = 4
        Image.fromarray(mask).save(root / MASK)
        assert re.search(
            rf"{MASK}: expected label ids 0 \.\.\. 3 \(classes\) or 9 \(void\)\. "
            r"Found: 4, 12 \(3 pixels, the first at row 4, column 7\)",
            message(root),
        )

    @pytest.mark.parametrize("value", [65535, 40000])
    def test_with_a_large_id(self, write_folder, value):
        root = write_folder()
        Image.fromarray(np.full((40, 52), value, np.uint16)).save(root / MASK)
        assert f"Found: {value} (2080 pixels" in message(root)

    def test_as_lossy_jpeg(self, write_folder):
        root = write_folder()
        mask = Image.open(root / MASK)
        (root / MASK).unlink()
        mask.save((root / MASK).with_suffix(".jpg"), quality=30)
        assert "JPEG's lossy coding changes ids" in message(root)

    def test_with_a_palette(self, write_folder):
        root = write_folder()
        Image.open(root / MASK).convert("P").save(root / MASK)
        assert re.search(
            rf"{MASK}: expected a single-channel mask of class ids. Found: a palette image. "
            r'\(mask_format="palette" reads the indices',
            message(root),
        )

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
    def test_with_channels(self, write_folder, mode):
        root = write_folder()
        Image.open(root / MASK).convert(mode).save(root / MASK)
        text = message(root)
        assert f"{MASK}: expected a single-channel mask of class ids." in text
        assert f"Found: an image with channels {mode}" in text
        assert 'mask_format="colors"' in text

    def test_without_a_palette_where_one_is_expected(self, write_folder):
        text = message(write_folder(), mask_format="palette")
        assert "00.png: expected a palette mask (mask_format='palette'). Found:" in text

    def test_with_a_colour_outside_the_palette(self, write_folder):
        palette = [[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]]
        root = write_folder({"train": 1}, palette=palette)
        rgb = np.full((40, 52, 3), 2, np.uint8)
        rgb[3, 5] = (255, 0, 16)
        Image.fromarray(rgb).save(root / "train/labels/00.png")
        assert "Found: #ff0010 (1 pixels, the first at row 3, column 5)" in message(
            root, mask_format="colors"
        )

    def test_colours_need_a_palette(self, write_folder):
        assert re.search(r"classes.json: mask_format='colors' needs the key `palette`",
                         message(write_folder(), mask_format="colors"))  # fmt: skip

    def test_truncated(self, write_folder):
        root = write_folder()
        (root / MASK).write_bytes((root / MASK).read_bytes()[:-300])
        assert f"{MASK}: expected a complete image of 40x52" in message(root)


class TestImages:
    def test_empty_file(self, write_folder):
        root = write_folder()
        (root / IMAGE).write_bytes(b"")
        assert re.search(rf"{IMAGE}: expected a readable .* Found: an empty file", message(root))

    def test_no_image(self, write_folder):
        root = write_folder()
        (root / IMAGE).write_text("This is not an image, whatever its name says.")
        assert re.search(
            rf"{IMAGE}: expected a readable image .*Found: no known format", message(root)
        )

    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    def test_truncated(self, write_folder, suffix):
        root = write_folder()
        path = (root / IMAGE).with_suffix(suffix)
        Image.open(root / IMAGE).save(path)
        if suffix != ".png":
            (root / IMAGE).unlink()
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
        assert f"{path}: expected a complete image of 40x52" in message(root)

    def test_too_small(self, write_folder):
        text = message(write_folder(size=(32, 60)))
        assert re.search(r"00.png: expected at least 33 pixels a side. Found: 32x60", text)

    def test_turned_by_exif_is_read_upright_with_a_warning(self, write_folder):
        root = write_folder()
        stored = Image.open(root / IMAGE)
        exif = stored.getexif()
        exif[0x0112] = 3
        stored.save(root / IMAGE, exif=exif)
        with pytest.warns(UserWarning, match=r"01.png: turned upright, as its EXIF orientation"):
            dataset = data.load("folder", path=root)
        image = list(dataset.examples("train"))[1]["image"]
        np.testing.assert_array_equal(image, np.asarray(stored)[::-1, ::-1])
        kept = data.load("folder", path=root, exif="keep")
        image = list(kept.examples("train"))[1]["image"]
        np.testing.assert_array_equal(image, np.asarray(stored))

    def test_turned_by_exif_beside_an_upright_mask(self, write_folder):
        root = write_folder()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(root / IMAGE).save(root / IMAGE, exif=exif)
        Image.new("L", (40, 52)).save(root / MASK)
        with pytest.warns(UserWarning, match="turned upright"):
            data.load("folder", path=root)
        assert "EXIF orientation is not applied" in message(root, exif="keep")


class TestLayout:
    def test_image_without_mask(self, write_folder):
        root = write_folder()
        (root / MASK).unlink()
        assert re.search(rf"{IMAGE}: expected a mask .*{MASK}. Found: none", message(root))

    def test_mask_without_image(self, write_folder):
        root = write_folder()
        for name in ("00", "01"):
            (root / f"train/images/{name}.png").unlink()
        assert re.search(
            r"labels/00.png: expected an image .*images/00.jpg or .png. Found: none "
            r"\(2 masks without an image in all\)",
            message(root),
        )

    def test_two_images_of_one_name(self, write_folder):
        root = write_folder()
        Image.open(root / IMAGE).save((root / IMAGE).with_suffix(".jpg"))
        assert re.search(r"expected one file for each name. Found: 01.jpg as well", message(root))

    def test_empty_folder(self, write_folder):
        root = write_folder({"train": 0})
        assert re.search(
            r"train/images: expected files ending in .jpg, .* Found: none",
            message(root),
        )

    def test_no_split(self, tmp_path):
        (tmp_path / "pictures").mkdir()
        text = message(tmp_path)
        assert re.search(r"expected splits, each with images and labels .* Found: pictures", text)

    def test_no_folder(self, tmp_path):
        assert re.search(r"nowhere: expected a folder. Found: none", message(tmp_path / "nowhere"))

    def test_no_masks_folder(self, write_folder):
        root = write_folder()
        shutil.rmtree(root / "val/labels")
        assert re.search(r"val/labels: expected a folder of masks beside images/", message(root))

    def test_missing_split(self, write_folder):
        dataset = data.load("folder", path=write_folder())
        with pytest.raises(
            ValueError,
            match=r"'photos' has no split 'tran'. Expected one of train, val. Did you mean 'train'",
        ):
            dataset.examples("tran")

    def test_all_problems_are_told_at_once(self, write_folder):
        root = write_folder({"train": 9})
        for index in range(7):
            Image.new("L", (52, 40), 77).save(root / f"train/labels/{index:02d}.png")
        text = message(root)
        assert text.count("Found: 77") == 5
        assert text.endswith("... and 2 more.")


@pytest.mark.parametrize(
    "content, expected",
    [
        ("{", r"classes.json: expected JSON. Found: "),
        ("[]", r"expected an object with the key `classes`"),
        ({"clases": ["a"]}, r"`clases`: expected one of classes, .* Did you mean 'classes'\?"),
        ({"classes": ["a", "a"]}, r"`classes`: expected a list of 1 to 255 different names"),
        ({"classes": ["a"], "void": 0}, r"`void`: expected a raw id that is no class \(as 0 is\)"),
        ({"classes": ["a"], "void": "x"}, r"`void`: expected raw ids in 0 ... 65535. Found: 'x'"),
        ({"classes": ["a"], "palette": [[1, 2, 3]] * 2}, r"`palette`: expected different colours"),
        ({"classes": ["a", "b"], "palette": [[1, 2, 3]]}, r"`palette`: expected 2 colours"),
        ({"classes": ["a"], "palette": [[1, 2, 300]]}, r"`palette`: expected a list of \[red"),
        ({"classes": ["road"], "label_map": {"7": "raod"}}, r"`label_map.7`: .*mean 'road'"),
        ({"classes": ["a"], "label_map": {"7": 1}}, r"`label_map.7`: .* class id in 0 ... 0"),
        ({"classes": ["a"], "label_map": {"x": 0}}, r"`label_map`: expected raw ids"),
    ],
)  # fmt: skip
def test_class_files(write_folder, content, expected):
    root = write_folder()
    text = content if isinstance(content, str) else json.dumps(content)
    (root / "classes.json").write_text(text)
    assert re.search(expected, message(root), re.DOTALL)


def test_no_class_file(write_folder):
    root = write_folder()
    (root / "classes.json").unlink()
    assert re.search(r"classes.json: expected a file with the classes' names", message(root))


class TestRegistry:
    def test_names(self):
        names = data.list_datasets()
        assert {"context_scenes", "folder"} <= set(names)
        assert names == sorted(names)

    def test_misspelt_name(self):
        with pytest.raises(ValueError, match=r"Unknown data set 'foldr'.*Did you mean 'folder'\?"):
            data.load("foldr")

    def test_misspelt_option(self):
        with pytest.raises(
            ValueError, match=r"'folder' has no option 'pth'.*Did you mean 'path'\?"
        ):
            data.load("folder", pth="x")

    def test_missing_option(self):
        with pytest.raises(ValueError, match=r"'folder' needs the option 'path'"):
            data.load("folder")

    def test_unknown_mask_format(self, write_folder):
        text = message(write_folder(), mask_format="rgb")
        assert "`mask_format`: expected one of ids, palette, colors. Received: 'rgb'" in text


def test_masks_of_0_and_255_need_a_class_file_that_says_so(write_folder):
    root = write_folder()
    for path in root.glob("*/labels/*.png"):
        ids = np.array(Image.open(path))
        Image.fromarray(np.where(ids > 1, 255, 0).astype(np.uint8)).save(path)
    classes = {"classes": ["background", "crack"]}
    (root / "classes.json").write_text(json.dumps(classes))
    with pytest.raises(ValueError, match=r'add "label_map": {"0": 0, "255": 1}, "void": \[\]'):
        data.load("folder", path=root)
    classes |= {"label_map": {"0": 0, "255": 1}, "void": []}
    (root / "classes.json").write_text(json.dumps(classes))
    dataset = data.load("folder", path=root)
    labels = [example["label"] for example in dataset.examples("train").as_numpy_iterator()]
    assert set(np.unique(np.concatenate([label.ravel() for label in labels]))) == {0, 1}
