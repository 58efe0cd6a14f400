"""Large images cut into tiles."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.data.folder_checks import check_mask_format, read_folder_classes
from keras_ctxseg.data.folder_layout import ExamplePaths, find_splits
from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.images import ANY_SIZE, FileError, read_stored
from keras_ctxseg.data.masks import read_mask
from keras_ctxseg.data.orientation import upright, upright_size
from keras_ctxseg.data_tools.prepare.pairing import Pair, is_picture, save_rgb
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_folder
from keras_ctxseg.labels.panoptic import IGNORE_LABEL


def tile_folder(
    path: str | os.PathLike,
    output: str | os.PathLike,
    size: tuple[int, int],
    overlap: int = 0,
    min_labelled: float = 0.0,
    whole: Sequence[str] = (),
    mask_format: str = "ids",
    classes: str | os.PathLike | None = None,
    skip_errors: bool = False,
) -> PreparedFolder:
    """Cut the images and masks of a data set into tiles, `<name>_y<row>_x<column>`.

    Tiles stand `size - overlap` apart; the last of a row or a column ends at the image's edge and
    overlaps more. An image that is smaller than a tile stays whole in that direction. Masks
    become masks of class ids. Tiles of JPEG images are JPEGs of quality 95, of other RGB images
    PNGs, and of 16 bits or other bands NumPy files.

    Args:
        path: the data set's folder.
        output: the new one's.
        size: height and width of a tile, at least 33.
        overlap: of neighbours, in pixels.
        min_labelled: tiles are dropped whose share of labelled pixels is not above it; 0 drops
            those without any.
        whole: splits whose images are not cut (scores are those of whole images).
        mask_format, classes: as `load_folder` takes them.
        skip_errors: leave out images with a problem.

    Raises:
        ValueError: an unfit size or overlap, or whatever is wrong with the files.
    """
    if min(size) < MIN_SIZE:
        raise ValueError(f"`size`: expected at least {MIN_SIZE} pixels a side. Received: {size}")
    if not 0 <= overlap < min(size):
        raise ValueError(
            f"`overlap`: expected 0 or more, less than a tile's side. Received: {overlap}"
        )
    check_mask_format(mask_format)
    root = Path(path).expanduser()
    splits = find_splits(root)
    for split in whole:
        if split not in splits:
            raise ValueError(f"`whole`: expected one of {', '.join(splits)}. Received: {split!r}")
    table = read_folder_classes(root, classes, mask_format)

    def cut(split: str, example: ExamplePaths, folder: Path) -> dict[str, int]:
        read = functools.partial(read_mask, example.mask, table, mask_format)
        if split in whole:
            Pair(example.name, example.image, example.image, read).copy_into(folder / split)
            return {split: 1}
        return {
            split: _cut(example, read(), folder / split, size, overlap, min_labelled, table.images)
        }

    jobs = [
        functools.partial(cut, split, example)
        for split, examples in splits.items()
        for example in examples
    ]
    return write_folder(output, jobs, list(splits), table.id_file(), skip_errors)


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side, so that every pixel is in one, none beyond the edge."""
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def _cut(
    example: ExamplePaths,
    mask: np.ndarray,
    target: Path,
    size: tuple[int, int],
    overlap: int,
    min_labelled: float,
    reading: ImageReading,
) -> int:
    stored = read_stored(example.image, ANY_SIZE)
    header = stored.header
    values = stored.values
    if mask.shape != values.shape[:2] or reading.exif == "upright":
        turned = upright_size(header.height, header.width, header.orientation)
        if mask.shape == turned and reading.exif == "upright":
            values = upright(values, header.orientation)
    if mask.shape != values.shape[:2]:
        text = f"expected the size of its image, {values.shape[:2]}. Found: {mask.shape}"
        raise FileError("size_mismatch", example.mask, text)
    plain = is_picture(stored)
    pixels = ImageReading().pixels(values, stored.has_alpha) if plain else values
    height, width = size
    # Values that JPEG and PNG cannot hold stay as they are.
    suffix = (".jpg" if header.format == "JPEG" else ".png") if plain else ".npy"
    count = 0
    for top in tile_starts(mask.shape[0], height, overlap):
        for left in tile_starts(mask.shape[1], width, overlap):
            window = np.s_[top : top + height, left : left + width]
            if (mask[window] != IGNORE_LABEL).mean() <= min_labelled:
                continue
            name = f"{example.name}_y{top:05d}_x{left:05d}"
            file = target / "images" / f"{name}{suffix}"
            if plain:
                save_rgb(pixels[window], file)
            else:
                np.save(file, pixels[window])
            Image.fromarray(mask[window]).save(target / "labels" / f"{name}.png")
            count += 1
    return count
