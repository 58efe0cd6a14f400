"""Files are checked once, again when they change, and a broken cache hurts nobody."""

import json
import os

import pytest
from PIL import Image

from keras_ctxseg import data
from keras_ctxseg.data import folder_checks


@pytest.fixture
def checked(monkeypatch):
    """The names of the examples that were checked since the last `clear`."""
    names = []
    original = folder_checks.check_example

    def check(example, *rest):
        names.append(f"{example.image.parts[-3]}/{example.name}")
        return original(example, *rest)

    monkeypatch.setattr(folder_checks, "check_example", check)
    return names


def test_second_start_checks_nothing(write_folder, checked, own_cache):
    root = write_folder({"train": 3})
    first = data.load("folder", path=root).reader("train").sizes
    assert sorted(checked) == ["train/00", "train/01", "train/02"]
    assert list(own_cache.rglob("*.json"))
    checked.clear()
    assert data.load("folder", path=root).reader("train").sizes.tolist() == first.tolist()
    assert checked == []


@pytest.mark.parametrize("changed", ["images", "labels"])
def test_a_changed_file_is_checked_again(write_folder, checked, changed):
    root = write_folder({"train": 3})
    data.load("folder", path=root)
    checked.clear()
    path = root / f"train/{changed}/01.png"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    data.load("folder", path=root)
    assert checked == ["train/01"]


def test_other_rules_check_again(write_folder, checked):
    root = write_folder({"train": 1})
    data.load("folder", path=root)
    checked.clear()
    (root / "classes.json").write_text('{"classes": ["a", "b", "c", "d"], "void": [9, 10]}')
    data.load("folder", path=root)
    assert checked == ["train/00"]


def test_problems_are_not_remembered_as_checked(write_folder, checked):
    root = write_folder({"train": 2})
    mask = root / "train/labels/01.png"
    right = mask.read_bytes()
    Image.new("L", (52, 40), 77).save(mask)
    for _ in range(2):
        checked.clear()
        with pytest.raises(ValueError, match="Found: 77"):
            data.load("folder", path=root)
        assert "train/01" in checked
    mask.write_bytes(right)
    data.load("folder", path=root)


def test_a_cache_that_cannot_be_written_is_harmless(write_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert data.load("folder", path=write_folder()).splits["train"] == 5


@pytest.mark.parametrize("content", ["", "[]", '{"train/images/00.png": 3}', "\0"])
def test_a_broken_cache_is_harmless(write_folder, checked, own_cache, content):
    root = write_folder({"train": 1})
    data.load("folder", path=root)
    checked.clear()
    (cache,) = own_cache.rglob("*.json")
    cache.write_text(content)
    data.load("folder", path=root)
    assert checked == ["train/00"]


@pytest.mark.parametrize("size", [None, 3, [], [40], [40, "52"], [0, 52], [40, 1e9], {"a": 1}])
def test_an_impossible_size_is_read_again(write_folder, checked, own_cache, size):
    root = write_folder({"train": 1})
    data.load("folder", path=root)
    checked.clear()
    (cache,) = own_cache.rglob("*.json")
    entries = json.loads(cache.read_text())
    for entry in entries.values():
        entry[1] = size
    cache.write_text(json.dumps(entries))
    data.load("folder", path=root)
    assert checked == ["train/00"]
    cache.write_text("[" * 100_000)
    data.load("folder", path=root)
