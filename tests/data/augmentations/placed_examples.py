"""Examples whose pixels say where they come from, and a data set of them."""

import numpy as np

from keras_ctxseg.data.augmentation_config import (
    AugmentationConfig,
    ClassMixConfig,
    CopyPasteConfig,
    MosaicConfig,
    RandAugmentConfig,
)
from keras_ctxseg.data.augmentations.rand_augment import GEOMETRIC
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.readers import PackedExamples

IGNORE = 255
SIDE, CELL, COUNT = 84, 12, 3


def label_at(row, column, number):
    """The id at a place of an example: cells of 12x12 pixels, other ids in each example."""
    return (row // CELL * 7 + column // CELL + 49 * number).astype(np.int32)


def make_example(number):
    """Red is the row, green the column, blue 80 times the number."""
    rows, columns = np.indices((SIDE, SIDE))
    image = np.stack([rows, columns, np.full_like(rows, 80 * number)], -1).astype(np.uint8)
    return {"image": image, "label": label_at(rows, columns, number), "name": f"{number}"}


def check_image_says_label(image, label):
    """Asserts that the label is the one at the place and of the example that the image tells.

    Pixels whose place is near the border between two cells do not count.

    Returns:
        The share of the pixels that were compared.
    """
    row, column, number = np.moveaxis(image.astype(np.float64), -1, 0)
    clear = label != IGNORE
    for place in (row, column):
        within = (place + 0.5) % CELL
        clear &= (within > 0.01) & (within < CELL - 0.01)
    expected = label_at(np.floor(row + 0.5), np.floor(column + 0.5), np.round(number / 80))
    np.testing.assert_array_equal(label[clear], expected[clear])
    return clear.mean()


def everything(probability=0.5, colors=True, **other):
    """A configuration with all augmentations on."""
    strengths = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}
    operations = RandAugmentConfig().operations if colors else GEOMETRIC
    values = {
        "crop_size": (48, 40),
        "cat_max_ratio": 0.1,
        "rotation": 20.0,
        "rand_augment": RandAugmentConfig(2, 9.0, operations),
        "mosaic": MosaicConfig(probability),
        "copy_paste": CopyPasteConfig(probability, tuple(f"c{id}" for id in range(0, 147, 2))),
        "class_mix": ClassMixConfig(probability),
        **(strengths if colors else {}),
    }
    return AugmentationConfig(**{**values, **other})


def places():
    """The data set of `make_example`."""
    examples = [make_example(number) for number in range(COUNT)]
    reader = PackedExamples(examples, np.full((COUNT, 2), SIDE))
    names = tuple(f"c{id}" for id in range(49 * COUNT))
    return SegmentationDataset(
        "places", names, np.zeros((len(names), 3), np.uint8), {"train": COUNT}, lambda _: reader
    )
