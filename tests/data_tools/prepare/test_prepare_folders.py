"""Data sets made of data sets: split anew, cut into tiles, cleaned; whole or not at all."""

import itertools
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg import data
from keras_ctxseg.data_tools.checks import check
from keras_ctxseg.data_tools.prepare import Splitting, clean_folder, split_folder, tile_folder
from keras_ctxseg.data_tools.prepare.tiles import tile_starts
from keras_ctxseg.data_tools.prepare.writing import new_folder


@pytest.fixture
def photos(tmp_path, rng):
    root = tmp_path / "photos"
    for split, count in (("train", 6), ("val", 3)):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8))
            name = f"{split}{index}.png"
            coarse.resize((140, 90), Image.Resampling.BICUBIC).save(root / split / "images" / name)
            mask = rng.choice(np.array([0, 1, 2, 9], np.uint8), (9, 14)).repeat(10, 0).repeat(10, 1)
            Image.fromarray(mask).save(root / split / "labels" / name)
    classes = {"classes": ["sky", "road", "car"], "void": 9}
    (root / "classes.json").write_text(json.dumps(classes))
    return root


def contents(root):
    return sorted(path.read_bytes() for path in root.glob("*/*/*.png"))


class TestSplit:
    def test_same_files_in_other_splits(self, photos, tmp_path):
        prepared = split_folder(photos, tmp_path / "out", Splitting(val=0.3, test=0.2, seed=1))
        assert prepared.splits == {"train": 4, "val": 3, "test": 2}
        assert contents(tmp_path / "out") == contents(photos)
        assert data.load("folder", path=tmp_path / "out").splits == prepared.splits

    def test_a_folder_without_splits(self, photos, tmp_path):
        os.rename(photos / "train", tmp_path / "flat")
        os.rename(photos / "classes.json", tmp_path / "flat/classes.json")
        prepared = split_folder(tmp_path / "flat", tmp_path / "out")
        assert prepared.splits == {"train": 5, "val": 1}

    def test_equal_names_in_two_splits(self, photos, tmp_path):
        for kind in ("images", "labels"):
            os.rename(photos / f"val/{kind}/val0.png", photos / f"val/{kind}/train0.png")
        split_folder(photos, tmp_path / "out")
        assert contents(tmp_path / "out") == contents(photos)


class TestTiles:
    def test_starts_cover_every_pixel(self, rng):
        for _ in range(200):
            length, tile = (int(value) for value in rng.integers(33, 300, 2))
            overlap = int(rng.integers(0, tile))
            starts = tile_starts(length, tile, overlap)
            covered = np.zeros(length, int)
            for start in starts:
                covered[start : start + tile] += 1
                assert 0 <= start <= max(0, length - tile)
            assert covered.min() >= 1
            for one, two in itertools.pairwise(starts):
                assert one < two <= one + tile - overlap

    def test_tiles_are_windows(self, photos, tmp_path):
        prepared = tile_folder(photos, tmp_path / "out", (50, 60), overlap=10)
        assert prepared.splits == {"train": 6 * 6, "val": 3 * 6}  # rows at 0, 40; columns 0, 50, 80
        names = {path.name for path in (tmp_path / "out/val/images").iterdir()}
        assert {
            f"val1_y000{y}_x000{x}.png" for y in ("00", "40") for x in ("00", "50", "80")
        } <= names
        image = np.asarray(Image.open(photos / "val/images/val1.png"))
        mask = np.asarray(Image.open(photos / "val/labels/val1.png"))
        for example in data.load("folder", path=tmp_path / "out").examples("val"):
            name, y, x = example["name"].numpy().decode().split("_")
            if name == "val1":
                window = np.s_[int(y[1:]) : int(y[1:]) + 50, int(x[1:]) : int(x[1:]) + 60]
                np.testing.assert_array_equal(example["image"], image[window])
                expected = np.where(mask == 9, 255, mask)[window]
                np.testing.assert_array_equal(example["label"], expected)

    def test_tiles_without_labels_are_dropped(self, photos, tmp_path):
        mask = np.asarray(Image.open(photos / "val/labels/val1.png")).copy()
        mask[:50, :60] = 9
        mask[40:, 80:] = 9
        mask[40, 80] = 1  # one labelled pixel stays
        Image.fromarray(mask).save(photos / "val/labels/val1.png")
        prepared = tile_folder(photos, tmp_path / "out", (50, 60), overlap=10)
        assert prepared.splits["val"] == 17
        prepared = tile_folder(photos, tmp_path / "few", (50, 60), 10, min_labelled=0.001)
        assert prepared.splits["val"] == 16

    def test_small_images_and_whole_splits(self, photos, tmp_path):
        prepared = tile_folder(photos, tmp_path / "out", (100, 100), whole=["val"])
        assert prepared.splits == {"train": 12, "val": 3}
        sizes = data.load("folder", path=tmp_path / "out").reader("train").sizes
        assert sizes.tolist() == [[90, 100]] * 12

    @pytest.mark.parametrize(
        "options, expected",
        [
            ({"size": (32, 60)}, "`size`: expected at least 33 pixels a side"),
            ({"size": (50, 60), "overlap": 50}, "`overlap`: expected 0 or more, less than"),
            ({"size": (50, 60), "whole": ["test"]}, "`whole`: expected one of train, val"),
        ],
    )
    def test_errors(self, photos, tmp_path, options, expected):
        with pytest.raises(ValueError) as error:
            tile_folder(photos, tmp_path / "out", **options)
        assert expected in str(error.value)


class TestClean:
    def test_leaves_out_what_is_no_good(self, photos, tmp_path):
        (photos / "train/images/train1.png").write_bytes(b"nothing")
        (photos / "train/labels/train2.png").unlink()
        copied = (photos / "train/images/train0.png").read_bytes()
        (photos / "val/images/val1.png").write_bytes(copied)
        prepared, left_out = clean_folder(photos, tmp_path / "out")
        assert prepared.splits == {"train": 4, "val": 2}
        names = ["train/images/train1.png", "train/images/train2.png", "val/images/val1.png"]
        assert left_out == [photos / name for name in names]
        assert check(photos).errors
        assert check(tmp_path / "out").findings == ()

    def test_turns_an_image_whose_mask_is_upright(self, photos, tmp_path):
        path = photos / "train/images/train1.png"
        stored = Image.open(path)
        pixels = np.asarray(stored)
        exif = Image.Exif()
        exif[0x0112] = 6
        stored.save(path, exif=exif)
        mask = np.rot90(np.asarray(Image.open(photos / "train/labels/train1.png")), 3)
        Image.fromarray(mask).save(photos / "train/labels/train1.png")
        Image.new("L", (50, 50)).save(photos / "train/labels/train2.png")
        assert [finding.code for finding in check(photos).errors] == ["size_mismatch"]
        prepared, left_out = clean_folder(photos, tmp_path / "out")
        assert left_out == [photos / "train/labels/train2.png"]
        assert prepared.splits == {"train": 5, "val": 3}
        written = Image.open(tmp_path / "out/train/images/train1.png")
        np.testing.assert_array_equal(written, np.rot90(pixels, 3))
        assert check(tmp_path / "out").findings == ()

    def test_a_wrong_class_file_has_to_be_mended_first(self, photos, tmp_path):
        (photos / "classes.json").write_text("{}")
        with pytest.raises(ValueError, match=r"classes.json: `classes`: expected a list"):
            clean_folder(photos, tmp_path / "out")


class TestWholeOrNotAtAll:
    def test_an_error_leaves_nothing(self, tmp_path):
        with pytest.raises(RuntimeError), new_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("a")
            raise RuntimeError
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_folder_gives_way(self, tmp_path):
        (tmp_path / "out").mkdir()
        with new_folder(tmp_path / "out") as folder:
            (folder / "file").write_text("a")
        assert (tmp_path / "out/file").read_text() == "a"
        assert os.listdir(tmp_path) == ["out"]

    def test_two_at_once_are_refused(self, tmp_path):
        with (
            new_folder(tmp_path / "out"),
            pytest.raises(ValueError, match="another process is making this folder"),
            new_folder(tmp_path / "out"),
        ):
            pass
        assert (tmp_path / "out").is_dir()

    def test_a_killed_one_starts_anew(self, tmp_path):
        script = (
            "import os, signal, sys\n"
            "sys.argv[0] = 'ctxseg'\n"  # so that Keras is not loaded
            "from keras_ctxseg.data_tools.prepare.writing import new_folder\n"
            f"with new_folder({str(tmp_path / 'out')!r}) as folder:\n"
            "    (folder / 'half').write_text('a')\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        result = subprocess.run([sys.executable, "-c", script])
        assert result.returncode == -signal.SIGKILL
        assert not (tmp_path / "out").exists()
        assert (tmp_path / ".out.partial/half").is_file()
        with new_folder(tmp_path / "out") as folder:
            (folder / "file").write_text("b")
        assert os.listdir(tmp_path / "out") == ["file"]
        assert os.listdir(tmp_path) == ["out"]
