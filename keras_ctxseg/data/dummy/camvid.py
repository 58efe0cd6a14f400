"""CamVid's two archives, unpacked into one folder."""

from pathlib import Path

from keras_ctxseg.data.builders.camvid import CLASSES, VOID
from keras_ctxseg.data.dummy.pictures import Pictures

# Frames on either side of the borders between the splits.
_NAMES = {
    "train": ("0001TP_008520", "0016E5_08190", "0006R0_f00930", "0016E5_07920"),
    "validation": ("0016E5_07959", "0016E5_08159", "0016E5_08001", "0016E5_08003"),
    "test": ("0001TP_008550", "Seq05VD_f00000", "Seq05VD_f00030", "0001TP_010380"),
}


def write_camvid(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images, 4 at most, in each of train, validation and test."""
    colors = [VOID, *(color for labels in CLASSES.values() for color in labels.values())]
    for names in _NAMES.values():
        for name in names[:count]:
            pictures.image(root / "701_StillsRaw_full" / f"{name}.png")
            pictures.colors(root / f"{name}_L.png", colors)
