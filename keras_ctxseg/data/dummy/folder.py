"""A folder of images and masks, as the `folder` data set reads it."""

import json
from collections.abc import Iterable
from pathlib import Path

from keras_ctxseg.data.dummy.pictures import Pictures


def write_folder(
    root: Path,
    num_classes: int,
    splits: Iterable[str] = ("train", "val"),
    count: int = 2,
    size: tuple[int, int] = (48, 64),
    seed: int = 0,
) -> None:
    """Write `count` images in each split, and `classes.json`; void is 255."""
    pictures = Pictures(size, seed)
    for split in splits:
        for index in range(count):
            pictures.image(root / split / "images" / f"{index}.jpg")
            pictures.ids(root / split / "labels" / f"{index}.png", [*range(num_classes), 255])
    content = {"classes": [f"class_{index}" for index in range(num_classes)], "void": 255}
    (root / "classes.json").write_text(json.dumps(content), encoding="utf-8")
