"""Cityscapes' two archives, as they are downloaded. The images have their true size."""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from keras_ctxseg.data.builders.cityscapes_classes import LABEL_IDS
from keras_ctxseg.data.dummy.pictures import Pictures

_CITIES = {"train": "aachen", "val": "frankfurt", "test": "berlin"}
SIZE = (1024, 2048)


def write_cityscapes(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images of one city in train, val and test; the labels of test are 0 to 3 only."""
    pictures.size = SIZE  # TFDS's builder accepts no other
    root.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(root / "leftImg8bit_trainvaltest.zip", "w") as images,
        zipfile.ZipFile(root / "gtFine_trainvaltest.zip", "w") as labels,
    ):
        file = Path(folder) / "picture.png"
        for split, city in _CITIES.items():
            for index in range(count):
                name = f"{split}/{city}/{city}_{index:06d}_000019"
                pictures.image(file)
                images.write(file, f"leftImg8bit/{name}_leftImg8bit.png")
                pictures.ids(file, range(4 if split == "test" else LABEL_IDS))
                labels.write(file, f"gtFine/{name}_gtFine_labelIds.png")
                if split != "test":
                    Image.fromarray(_instance_ids(pictures)).save(file)
                    labels.write(file, f"gtFine/{name}_gtFine_instanceIds.png")


def _instance_ids(pictures: Pictures) -> np.ndarray:
    """Label ids, and instances of some of them, as Cityscapes numbers them; uint16."""
    instances = [1000 * label_id + number for label_id in (24, 26, 33) for number in (0, 1, 57)]
    return pictures.blocks([*range(LABEL_IDS), *instances]).astype(np.uint16)
