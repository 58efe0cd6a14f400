"""One small data set without a fault, written once; each test spoils a copy of its own."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

CLASSES = ["sky", "building", "road", "car"]
VOID = 9


@pytest.fixture(scope="session")
def clean_template(tmp_path_factory):
    root = tmp_path_factory.mktemp("template") / "photos"
    generator = np.random.default_rng(5)
    for split, count in (("train", 6), ("val", 4)):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            coarse = Image.fromarray(generator.integers(0, 256, (7, 9, 3), np.uint8))
            image = coarse.resize((160, 128), Image.Resampling.BICUBIC)
            ids = generator.permuted(np.arange(63).reshape(7, 9) % 5)
            mask = np.array([0, 1, 2, 3, VOID], np.uint8)[ids]
            mask = mask.repeat(19, 0).repeat(18, 1)[:128, :160]
            image.save(root / split / "images" / f"{split}{index}.png")
            Image.fromarray(mask).save(root / split / "labels" / f"{split}{index}.png")
    (root / "classes.json").write_text(json.dumps({"classes": CLASSES, "void": VOID}))
    return root


@pytest.fixture
def photos(clean_template, tmp_path):
    """A copy: `train0` to `train5` and `val0` to `val3`, ids 0 ... 3 and void, 9."""
    return shutil.copytree(clean_template, tmp_path / "photos")
