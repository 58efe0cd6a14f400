"""Folders as users have them, before anything was prepared."""

import numpy as np
import pytest
from PIL import Image

COLORS = {"sky": (70, 130, 180), "road": (128, 64, 128), "car": (0, 0, 142), "void": (0, 0, 0)}
IDS = np.array([0, 1, 2, 255], np.uint8)


@pytest.fixture
def raw(tmp_path, rng):
    """`photos/a0.jpg` ... and `masks/a0.png` ... in colours; returns the folder and the ids."""
    ids = {}
    for index in range(10):
        name = f"a{index}"
        places = rng.integers(0, 4, (5, 6)).repeat(9, 0).repeat(9, 1)
        ids[name] = IDS[places]
        rgb = np.array(list(COLORS.values()), np.uint8)[places]
        for folder in ("photos", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        noise = rng.integers(0, 256, (*places.shape, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{name}.jpg")
        Image.fromarray(rgb).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "colors.txt").write_text(
        "# red green blue name\n"
        + "\n".join(f"{r} {g} {b} {name}" for name, (r, g, b) in COLORS.items())
    )
    return tmp_path, ids


@pytest.fixture
def labels_of():
    """Reads the masks of a data set that was written: ids by name, over all splits."""

    def read(root):
        return {
            path.stem: np.asarray(Image.open(path)) for path in sorted(root.glob("*/labels/*.png"))
        }

    return read
