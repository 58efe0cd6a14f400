"""Masks in colours, palettes or grey values, to masks of class ids."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from keras_ctxseg.data.class_file import ClassTable, read_class_file
from keras_ctxseg.data.images import FileError, decode
from keras_ctxseg.data.masks import class_ids
from keras_ctxseg.data_tools.prepare.color_table import (
    ColorTable,
    find_colors,
    found_table,
    frequent,
    read_color_table,
    read_packed,
    unpack_rgb,
)
from keras_ctxseg.data_tools.prepare.pairing import (
    Exif,
    Pair,
    check_choice,
    given_splits,
    open_any,
    pair_files,
)
from keras_ctxseg.data_tools.prepare.splitting import Splitting
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_pairs
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

Unknown = Literal["error", "void", "nearest"]
UNKNOWN_CHOICES = ("error", "void", "nearest")


def prepare_masks(
    images: str,
    masks: str,
    output: str | os.PathLike,
    colors: str | os.PathLike | None = None,
    ids: str | os.PathLike | None = None,
    unknown: Unknown = "error",
    splitting: Splitting | None = None,
    splits: Sequence[str] = (),
    image_suffix: str = "",
    mask_suffix: str = "",
    skip_unpaired: bool = False,
    exif: Exif = "auto",
    skip_errors: bool = False,
) -> PreparedFolder:
    """Make a data set of a folder of images and a folder of masks.

    Args:
        images, masks: the folders, paired by the names of their files. With `splits` they hold
            `{split}`, as in `"photos/{split}"`.
        output: the new data set's folder.
        colors: the table of colours, see `read_color_table`. Without it (and without `ids`) each
            colour that is found becomes a class.
        ids: the class file of masks that hold raw ids: grey values, palette indices, or three
            equal channels.
        unknown: what a colour outside the table is: an `"error"`, `"void"`, or the `"nearest"`
            colour of the table, which is what blurred edges ask for.
        splitting: how examples are distributed; 20 % to `val` if not given.
        splits: the names of splits that exist already.
        image_suffix, mask_suffix, skip_unpaired: see `pair_files`.
        exif: see `Pair.copy_into`.
        skip_errors: leave out examples with a problem.

    Raises:
        ValueError: whatever is wrong with the files, by name; nothing is written then.
    """
    check_choice("unknown", unknown, UNKNOWN_CHOICES)
    found = {
        split: pair_files(image_folder, mask_folder, image_suffix, mask_suffix, skip_unpaired)
        for split, (image_folder, mask_folder) in given_splits(splits, images, masks).items()
    }
    if ids is not None:
        table = read_class_file(Path(ids).expanduser())
        class_file = table.id_file()
        read = functools.partial(read_ids, table=table)
    else:
        files = [mask for pairs in found.values() for _, mask in pairs.values()]
        color_table = read_color_table(colors) if colors else _found(files, unknown)
        class_file = color_table.class_file()
        read = functools.partial(read_colors, table=color_table, unknown=unknown)
    pairs = {
        split: [
            Pair(name, image, image, functools.partial(read, mask))
            for name, (image, mask) in named.items()
        ]
        for split, named in found.items()
    }
    return write_pairs(output, pairs, class_file, splitting, exif, skip_errors)


def read_colors(path: Path, table: ColorTable, unknown: Unknown = "error") -> np.ndarray:
    """A mask in colours as uint8 `(height, width)` class ids.

    Raises:
        FileError: an unreadable file, or with `unknown="error"` a colour outside the table.
    """
    packed = read_packed(path)
    present, places = np.unique(packed, return_inverse=True)
    ids = np.array([table.ids.get(int(color), -1) for color in present])
    missing = ids < 0
    if missing.any():
        if unknown == "error":
            colors = [f"#{color:06x}" for color in present[missing][:8]]
            count = int(missing[places].sum())
            raise FileError(
                "unknown_ids",
                path,
                f"expected the {len(table.ids)} colours of the table. Found: {', '.join(colors)}"
                f"{' ...' if missing.sum() > 8 else ''} ({count} pixels); --unknown nearest takes "
                "the nearest colour for them, --unknown void ignores them",
            )
        ids[missing] = IGNORE_LABEL if unknown == "void" else _nearest(present[missing], table)
    return ids.astype(np.uint8)[places].reshape(packed.shape)


def read_ids(path: Path, table: ClassTable) -> np.ndarray:
    """A mask of raw ids, grey or in a palette or in three equal channels, as class ids.

    Raises:
        FileError: an unreadable file, channels that differ, or an id outside the class file.
    """
    with open_any(path, path) as image:
        decode(image, path)
        raw = np.asarray(image).astype(np.int64)
    if raw.ndim == 3:
        channels = raw[..., :3] if raw.shape[-1] >= 3 else raw[..., :1]
        if np.ptp(channels, axis=-1).any():
            text = "expected ids, equal in all channels. Found: colours (give --colors, not --ids)"
            raise FileError("mask_format", path, text)
        raw = channels[..., 0]
    return class_ids(raw, table, path)


def _found(masks: Sequence[Path], unknown: Unknown) -> ColorTable:
    colors = find_colors(masks)
    kept = frequent(colors)
    if len(kept) < len(colors) and unknown == "error":
        raise ValueError(
            f"`colors`: the masks hold {len(colors)} colours, {len(kept)} of them frequent. Find "
            "and name them with `ctxseg prepare-data colors`, then give --colors FILE and "
            "--unknown nearest"
        )
    return found_table(kept)


def _nearest(colors: np.ndarray, table: ColorTable) -> np.ndarray:
    known = np.array([unpack_rgb(color) for color in table.ids], np.int32)
    ids = np.array(list(table.ids.values()))
    chosen = [
        int(((known - np.array(unpack_rgb(int(color)))) ** 2).sum(axis=1).argmin())
        for color in colors
    ]
    return ids[chosen]
