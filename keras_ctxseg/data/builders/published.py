"""What is known about a published data set before any of its files are here."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_ctxseg.labels.panoptic import IGNORE_LABEL


@dataclasses.dataclass(frozen=True, eq=False)
class PublishedDataset:
    """A data set's facts.

    Attributes:
        name: as `keras_ctxseg.data.load` takes it.
        title: what people call it.
        class_names: one name per class, in the order of the ids.
        palette: uint8 `(classes, 3)` RGB.
        splits: examples by split, complete data set.
        prepared_splits: for each split, the prepared splits that it is made of.
        homepage: an address.
        licence: a note on the terms; the homepage has the last word.
        citation: BibTeX.
        how_to_get: what someone has to do who has none of the files.
        thing_classes: ids of the classes that the option `panoptic` tells apart; empty where the
            data set has no such option.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    palette: np.ndarray
    splits: Mapping[str, int]
    prepared_splits: Mapping[str, tuple[str, ...]]
    homepage: str
    licence: str
    citation: str
    how_to_get: str
    thing_classes: tuple[int, ...] = ()

    def __post_init__(self):
        if self.palette.shape != (len(self.class_names), 3) or self.palette.dtype != np.uint8:
            raise ValueError(
                f"{self.name}: expected a uint8 palette with {len(self.class_names)} colours. "
                f"Received: {self.palette.dtype} {self.palette.shape}"
            )


def class_id_table(ids: Mapping[int, int]) -> np.ndarray:
    """int16 `(65536,)`: raw id -> class id or ignore label, -1 where `ids` has no entry."""
    table = np.full(1 << 16, -1, np.int16)
    table[list(ids)] = list(ids.values())
    return table


def contiguous_ids(num_classes: int, ignore_label: int = IGNORE_LABEL) -> dict[int, int]:
    """The map of label images that hold class ids already."""
    return {**{index: index for index in range(num_classes)}, ignore_label: ignore_label}


def voc_palette(num_colors: int) -> np.ndarray:
    """PASCAL VOC's colours: uint8 `(num_colors, 3)`, for at most 256 ids.

    Bits 0, 1 and 2 of the id are the highest bits of red, green and blue, bits 3, 4 and 5 the next
    ones, bits 6 and 7 the third of red and green (VOC development kit, `VOCcolormap.m`).
    """
    ids = np.arange(num_colors)
    colors = np.zeros((num_colors, 3), np.uint8)
    for level in range(3):
        for channel in range(3):
            bit = ids >> (3 * level + channel) & 1
            colors[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return colors


def names(text: str) -> tuple[str, ...]:
    """Names from a text that commas separate; line breaks count as spaces."""
    return tuple(" ".join(text.split()).split(", "))


def colors(text: str) -> np.ndarray:
    """A palette from a text of colours such as `804080`: uint8 `(colours, 3)`."""
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 3).copy()
