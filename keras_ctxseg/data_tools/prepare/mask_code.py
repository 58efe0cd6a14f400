"""What the pixels of mask files mean, and pairs of an image and such a mask."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from keras_ctxseg.data.builders.published import voc_palette
from keras_ctxseg.data.images import FileError, decode
from keras_ctxseg.data.masks import pack_pixels
from keras_ctxseg.data_tools.prepare.annotation_schema import Problems
from keras_ctxseg.data_tools.prepare.color_table import ColorTable, read_color_table
from keras_ctxseg.data_tools.prepare.import_base import text_of
from keras_ctxseg.data_tools.prepare.pairing import Pair, flat_name, open_any

Change = Callable[[np.ndarray], np.ndarray] | None


@dataclasses.dataclass(frozen=True)
class MaskCode:
    """What the pixels of masks mean.

    Attributes:
        ids: grey value or palette index to class id, or to `IGNORE_LABEL`.
        colors: packed RGB to class id, or to `IGNORE_LABEL`.
    """

    ids: Mapping[int, int] = dataclasses.field(default_factory=dict)
    colors: Mapping[int, int] = dataclasses.field(default_factory=dict)

    def read(self, path: Path, then: Callable[[np.ndarray], np.ndarray] | None = None):
        """A mask as class ids, uint8 `(height, width)`.

        Colours are looked up where the mask is in colours, or its palette's colours are all known;
        ids otherwise.

        Args:
            path: the mask.
            then: turns raw values into those that `ids` has.

        Raises:
            FileError: an unreadable file, or values without a meaning.
        """
        values, kind = raw_values(path, dict(self.colors))
        table = self.colors if kind == "colours" else self.ids
        if then is not None:
            values = then(values)
        present, places = np.unique(values, return_inverse=True)
        ids = np.array([table.get(int(value), -1) for value in present])
        if ids.min() < 0:
            unknown = [f"#{v:06x}" if kind == "colours" else str(v) for v in present[ids < 0][:8]]
            text = f"expected the {len(table)} {kind} of the format. Found: {', '.join(unknown)}"
            raise FileError("unknown_ids", path, text)
        return ids.astype(np.uint8)[places].reshape(values.shape[:2])


def raw_values(path: Path, colors: Mapping[int, int] | None = None) -> tuple[np.ndarray, str]:
    """The values of a mask, int64 `(height, width)`, and whether they are `ids` or `colours`.

    Args:
        path: the mask, in any format that Pillow reads.
        colors: the known colours; palette images are looked up by colour if all of theirs are.
    """
    with open_any(path, path) as image:
        decode(image, path)
        if image.mode == "P" and colors:
            used = np.unique(np.asarray(image))
            palette = np.zeros((256, 3), np.uint8)
            entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
            palette[: len(entries)] = entries
            if all(int(color) in colors for color in pack_pixels(palette[used])):
                return pack_pixels(palette[np.asarray(image)]).astype(np.int64), "colours"
        if image.mode in ("1", "L", "P") or image.mode.startswith("I"):
            values = np.asarray(image).astype(np.int64)
            if image.mode == "L" and image.format == "PNG":
                values //= 255 // (2 ** min(_png_depth(path), 8) - 1)  # Pillow stretches 2 and 4
            return values, "ids"
        rgb = np.asarray(image.convert("RGB"))
    if not colors and not np.ptp(rgb, axis=-1).any():
        return rgb[..., 0].astype(np.int64), "ids"
    return pack_pixels(rgb).astype(np.int64), "colours"


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[24]


def add_pair(
    pairs: dict[str, list[Pair]],
    split: str,
    name: str,
    mask: Path,
    code: MaskCode,
    problems: Problems,
    image: Path | None,
    change: Change = None,
) -> None:
    if image is None:
        text = "expected an image of its name. Found: none (its folder: --images DIR)"
        problems.report(FileError("missing_image", mask, text))
        return
    read = functools.partial(code.read, mask, change)
    pairs.setdefault(split, []).append(Pair(flat_name(name), image, image, read))


def read_labels(path: Path) -> ColorTable:
    """A table of colours; one of names alone has Pascal VOC's colours, as Datumaro writes it.

    Raises:
        FileError: neither colours nor names.
    """
    lines = [line.split("#")[0].strip() for line in text_of(path).splitlines()]
    names = [line.split(":")[0].strip() for line in lines if line]
    if names and not any(character.isdigit() for line in lines for character in line):
        return ColorTable.of(zip(names, voc_palette(len(names)).tolist(), strict=True), path)
    return read_color_table(path)
