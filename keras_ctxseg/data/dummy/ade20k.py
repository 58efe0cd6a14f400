"""The scene parsing challenge's archive, unpacked."""

from pathlib import Path

from keras_ctxseg.data.dummy.pictures import Pictures


def write_ade20k(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images in each of training and validation."""
    ade = root / "ADEChallengeData2016"
    for folder, short in (("training", "train"), ("validation", "val")):
        for index in range(1, count + 1):
            name = f"ADE_{short}_{index:08d}"
            pictures.image(ade / "images" / folder / f"{name}.jpg")
            pictures.ids(ade / "annotations" / folder / f"{name}.png", range(151))
