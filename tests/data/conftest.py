"""Small folders of images and masks, written as a user would have them."""

import json

import numpy as np
import pytest
from PIL import Image

CLASSES = ["sky", "building", "road", "car"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def write_folder(tmp_path):
    """Writes random images and masks with the ids 0 ... 3 and void, 9; returns the folder."""

    def write(counts=None, size=(40, 52), name="photos", **class_file):
        root = tmp_path / name
        generator = np.random.default_rng(0)
        for split, count in (counts or {"train": 5, "val": 2}).items():
            for kind in ("images", "labels"):
                (root / split / kind).mkdir(parents=True)
            for index in range(count):
                image = generator.integers(0, 256, (*size, 3), np.uint8)
                mask = generator.choice(np.array([0, 1, 2, 3, 9], np.uint8), size)
                Image.fromarray(image).save(root / split / "images" / f"{index:02d}.png")
                Image.fromarray(mask).save(root / split / "labels" / f"{index:02d}.png")
        content = {"classes": CLASSES, "void": 9, **class_file}
        (root / "classes.json").write_text(json.dumps(content))
        return root

    return write
