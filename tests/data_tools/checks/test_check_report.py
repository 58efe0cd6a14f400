"""The figures of a check against plain NumPy, and what it prints and writes."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.cli import main
from keras_ctxseg.data_tools.checks import check, write_sheet
from keras_ctxseg.data_tools.checks.example import value_counts
from keras_ctxseg.data_tools.checks.judge import near_pairs


def histogram(folder, classes):
    """Pixels by class and masks that hold it, the slow way."""
    masks = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
    pixels = [sum(int((mask == index).sum()) for mask in masks) for index in range(classes)]
    images = [sum(bool((mask == index).any()) for mask in masks) for index in range(classes)]
    return masks, pixels, images


def test_histogram(photos):
    report = check(photos)
    for split, count in (("train", 6), ("val", 4)):
        masks, pixels, images = histogram(photos / split / "labels", 4)
        facts = report.splits[split]
        assert facts.pixels.tolist() == pixels
        assert facts.images.tolist() == images
        assert facts.ignored == sum(int((mask == 9).sum()) for mask in masks)
        assert (facts.pairs, facts.checked) == (count, count)
        assert facts.sizes == {(128, 160): count}


def test_class_weights(photos):
    # Rare in few images, and absent: the two cases in which formulas differ.
    for index, path in enumerate(sorted((photos / "train/labels").iterdir())):
        mask = np.zeros((128, 160), np.uint8)
        mask[:50] = 1
        mask[0, :30] = 2 if index == 0 else 9
        Image.fromarray(mask).save(path)
    masks, pixels, images = histogram(photos / "train/labels", 4)
    expected = np.ones(4)
    frequency = {}
    for index in range(3):
        holding = [mask for mask in masks if (mask == index).any()]
        frequency[index] = pixels[index] / sum(int((mask != 9).sum()) for mask in holding)
    for index, value in frequency.items():
        expected[index] = np.sqrt(np.median(list(frequency.values())) / value)
    assert images == [6, 6, 1, 0]
    weights = check(photos).class_weights
    np.testing.assert_allclose(weights, expected, rtol=5e-3)  # three digits are written


def test_suggested_weights_are_what_a_recipe_takes(photos, tmp_path):
    from keras_ctxseg.runs.config_file import load_config

    report = check(photos)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: a\nmodel: {name: fcn_resnet18}\ndata: {name: folder}\n" + report.weights_yaml()
    )
    assert load_config(recipe).training.class_weights == tuple(report.class_weights)


def test_value_counts(rng):
    for values in (rng.integers(0, 5, (30, 40)), rng.integers(0, 1 << 24, (9, 9), np.uint32)):
        present, counts = np.unique(values, return_counts=True)
        assert value_counts(values) == dict(zip(present.tolist(), counts.tolist(), strict=True))


def test_near_pairs_against_all_pairs(rng):
    thumbnails = list(rng.integers(0, 256, (40, 16, 16, 3), np.uint8))
    for _ in range(60):
        noise = rng.normal(0, rng.uniform(0, 5), (16, 16, 3))
        other = np.clip(thumbnails[rng.integers(len(thumbnails))] + noise, 0, 255)
        thumbnails.append(other.astype(np.uint8))
    full = np.stack(thumbnails).astype(np.float32)
    limit = np.minimum(1.5, 0.05 * full.std(axis=(1, 2, 3)))
    expected = []
    for later in range(100):
        for earlier in range(later):
            difference = np.abs(full[later] - full[earlier]).mean()
            if difference <= min(limit[earlier], limit[later]):
                expected.append((earlier, later))
                break
    assert sorted(near_pairs(thumbnails)) == sorted(expected)
    assert 5 < len(expected) < 60


class TestSample:
    def test_opens_some_of_each_split(self, photos):
        report = check(photos, sample=2)
        assert {s: facts.checked for s, facts in report.splits.items()} == {"train": 2, "val": 2}

    def test_does_not_judge_what_is_absent(self, photos):
        for path in (photos / "train/labels").iterdir():
            mask = np.asarray(Image.open(path))
            Image.fromarray(np.where(mask == 1, 2, mask)).save(path)
        assert check(photos, sample=2).findings == ()
        assert [finding.code for finding in check(photos, sample=6).findings] == ["absent_class"]

    def test_compares_its_files_with_all(self, photos):
        content = (photos / "train/images/train0.png").read_bytes()  # the first is in every sample
        (photos / "val/images/val1.png").write_bytes(content)
        assert [finding.code for finding in check(photos, sample=2).findings] == ["leakage"]

    def test_of_none_is_refused(self, photos):
        with pytest.raises(ValueError, match="`sample`: expected 1 or more. Received: 0"):
            check(photos, sample=0)

    def test_stops_early_on_large_images(self, photos, monkeypatch):
        monkeypatch.setattr("keras_ctxseg.data_tools.checks.run._SAMPLED_PIXELS", 3 * 128 * 160)
        assert check(photos, sample=6).splits["train"].checked == 3


class TestCommand:
    def test_clean(self, photos, capsys):
        assert main(["check-data", str(photos)]) == 0
        out = capsys.readouterr().out
        assert "0 errors, 0 warnings" in out
        assert re.search(r"class_weights: \[[\d., ]+\]", out)

    def test_warnings_leave_the_exit_code_alone(self, photos, capsys):
        Image.new("L", (160, 128), 2).save(photos / "train/labels/train1.png")
        assert main(["check-data", str(photos)]) == 0
        assert "0 errors, 1 warnings" in capsys.readouterr().out

    def test_errors_give_exit_code_1(self, photos, capsys):
        (photos / "train/labels/train1.png").unlink()
        assert main(["check-data", str(photos)]) == 1
        assert "ERROR    image without a mask (1)" in capsys.readouterr().out

    def test_json(self, photos, tmp_path, capsys):
        (photos / "train/labels/train1.png").unlink()
        assert main(["check-data", str(photos), "--json", str(tmp_path / "out/check.json")]) == 1
        content = json.loads((tmp_path / "out/check.json").read_text())
        (finding,) = content["findings"]
        assert (finding["severity"], finding["code"]) == ("error", "missing_mask")
        assert finding["path"] == str(photos / "train/images/train1.png")
        _, pixels, _ = histogram(photos / "val/labels", 4)
        assert content["splits"]["val"]["pixels"] == pixels
        assert set(content["splits"]["val"]["raw"]) == {"0", "1", "2", "3", "9"}

    def test_no_such_folder(self, tmp_path, capsys):
        assert main(["check-data", str(tmp_path / "nowhere")]) == 2
        assert "nowhere: expected a folder. Found: none" in capsys.readouterr().err


class TestSheet:
    def test_stands_alone_and_shows_the_pair(self, photos, tmp_path):
        mask = np.asarray(Image.open(photos / "train/labels/train1.png")).copy()
        mask[0, 0] = 77
        Image.fromarray(mask).save(photos / "train/labels/train1.png")
        html = write_sheet(check(photos), tmp_path / "sheets/check.html").read_text()
        assert "undeclared ids in a mask (1)" in html
        assert "<b>train/labels/train1.png</b>: expected label ids" in html
        # Four pairs of each split, the pair of the finding first; image, mask and overlay each.
        assert html.count("data:image/") == 3 * (1 + 4 + 4)
        assert not re.search(r"(src|href)=\"(?!data:)", html)
        assert "http" not in html
        assert 'name="viewport"' in html

    def test_of_a_folder_with_every_trouble(self, photos, tmp_path):
        (photos / "classes.json").unlink()
        (photos / "train/images/train1.png").write_bytes(b"nothing")
        (photos / "val/labels/val1.png").write_bytes(b"")
        html = write_sheet(check(photos), tmp_path / "check.html").read_text()
        assert "unreadable file (2)" in html

    def test_names_are_escaped(self, photos, tmp_path):
        (photos / "classes.json").write_text(
            json.dumps({"classes": ["<b>sky", "building", "road", "car"], "void": 9})
        )
        html = write_sheet(check(photos), tmp_path / "check.html").read_text()
        assert "&lt;b&gt;sky" in html
        assert "<b>sky" not in html


def test_camvid(camvid):
    report = check(camvid)
    assert report.errors == ()
    for split, count in (("train", 367), ("val", 101)):
        masks, pixels, images = histogram(camvid / split / "labels", 11)
        facts = report.splits[split]
        assert len(masks) == facts.checked == count
        assert facts.pixels.tolist() == pixels
        assert facts.images.tolist() == images
        assert facts.ignored == sum(int((mask == 11).sum()) for mask in masks)
