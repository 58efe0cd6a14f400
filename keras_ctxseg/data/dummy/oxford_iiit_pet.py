"""Oxford-IIIT Pet's two archives, unpacked into one folder."""

from pathlib import Path

from keras_ctxseg.data.dummy.files import write_lines
from keras_ctxseg.data.dummy.pictures import Pictures


def write_oxford_iiit_pet(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images in each of trainval and test, without boxes of heads."""
    for split, breed, (label, species) in (
        ("trainval", "Bengal", (6, 1)),
        ("test", "beagle", (5, 2)),
    ):
        names = [f"{breed}_{index}" for index in range(1, count + 1)]
        lines = (f"{name} {label} {species} 1" for name in names)
        write_lines(root / "annotations" / f"{split}.txt", lines)
        for name in names:
            pictures.image(root / "images" / f"{name}.jpg")
            pictures.ids(root / "annotations" / "trimaps" / f"{name}.png", (1, 2, 3))
