"""Which colour means which class: read from a file, or found in the masks."""

import dataclasses
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_ctxseg.data.class_file import pack_rgb
from keras_ctxseg.data.images import FileError, decode
from keras_ctxseg.data.masks import pack_pixels
from keras_ctxseg.data_tools.checks.example import value_counts
from keras_ctxseg.data_tools.prepare.pairing import any_size, open_any
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

VOID = "void"
MOST_COLORS = 64  # in a table that is found; edges and JPEG make thousands
_RARE = 5e-4  # share of all pixels

_RGB = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"
# "128 0 0 sky", "sky:128,0,0::" (CVAT), "sky,128,0,0"
_LINES = (
    re.compile(rf"^{_RGB}[\s,;:]+(?P<name>.+?)$"),
    re.compile(rf"^(?P<name>[^:]+):{_RGB}(:.*)?$"),
    re.compile(rf"^(?P<name>.+?)[\s,;]+{_RGB}[\s,;]*$"),
)


@dataclasses.dataclass(frozen=True)
class ColorTable:
    """Colours of classes.

    Attributes:
        class_names: in the order of the ids.
        ids: packed RGB to class id, or to `IGNORE_LABEL`; several colours may mean one class.
    """

    class_names: tuple[str, ...]
    ids: dict[int, int]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, Sequence[int]]], source: object) -> "ColorTable":
        """From names and RGB colours; a name given again is the same class, "void" is ignored.

        Raises:
            ValueError: no class, a colour with two names, or one outside 0 ... 255.
        """
        names: list[str] = []
        ids: dict[int, int] = {}
        for name, color in rows:
            if len(color) != 3 or not all(
                type(channel) is int and 0 <= channel <= 255 for channel in color
            ):
                raise FileError(
                    "class_file", Path(str(source)), f"{name!r}: expected [red, green, blue] in "
                    f"0 ... 255. Found: {color!r}"
                )  # fmt: skip
            if name != VOID and name not in names:
                names.append(name)
            index = IGNORE_LABEL if name == VOID else names.index(name)
            if ids.setdefault(pack_rgb(color), index) != index:
                text = f"expected one name for each colour. Found: {list(color)} twice"
                raise FileError("class_file", Path(str(source)), text)
        if not names:
            text = 'expected lines such as "128 64 0 road". Found: no class'
            raise FileError("class_file", Path(str(source)), text)
        return cls(tuple(names), ids)

    def class_file(self) -> dict[str, Any]:
        """What `classes.json` holds for masks of ids."""
        first: dict[int, int] = {}
        for color, index in self.ids.items():
            first.setdefault(index, color)
        palette = [unpack_rgb(first[index]) for index in range(len(self.class_names))]
        return {"classes": list(self.class_names), "void": IGNORE_LABEL, "palette": palette}


def read_color_table(path: str | os.PathLike) -> ColorTable:
    """Read a table of colours.

    Args:
        path: JSON, `{"sky": [128, 128, 128], "road": "#804080"}` or a `classes.json` with a
            palette; or text, one colour in a line, `128 128 128 sky`, `sky,128,128,128` or CVAT's
            `sky:128,128,128::`; `#` begins a comment. The name `void` is what is ignored.

    Raises:
        FileError: names the file and the line.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            "class_file", path, f"expected a table of colours. Found: {error}"
        ) from None
    if text.lstrip().startswith("{"):
        return ColorTable.of(_json_rows(text, path), path)
    rows: list[tuple[str, list[int]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line or (not rows and not re.search(r"\d", line)):  # a CSV's header
            continue
        match = next(filter(None, (pattern.match(line) for pattern in _LINES)), None)
        if match is None:
            text = f'line {number}: expected "red green blue name". Found: {line!r}'
            raise FileError("class_file", path, text)
        color = [int(group) for group in match.groups() if group and group.isdigit()][:3]
        rows.append((match["name"].strip(" \t\"'"), color))
    return ColorTable.of(rows, path)


@dataclasses.dataclass(frozen=True)
class FoundColor:
    """A colour in some masks.

    Attributes:
        color: packed RGB.
        pixels: how many have it.
        masks: in how many it occurs.
        most_in: the mask with most of it.
    """

    color: int
    pixels: int
    masks: int
    most_in: Path


def find_colors(masks: Iterable[Path]) -> list[FoundColor]:
    """All colours of some masks, the most frequent first.

    Raises:
        FileError: a mask that cannot be read.
    """
    masks = list(masks)

    def count(path: Path) -> dict[int, int]:
        return value_counts(read_packed(path))

    pixels: Counter[int] = Counter()
    occurrences: Counter[int] = Counter()
    most: dict[int, tuple[int, Path]] = {}
    with any_size(), ThreadPoolExecutor(os.cpu_count()) as pool:
        results = tqdm(pool.map(count, masks), "Finding colours", len(masks), delay=1.0)
        for path, counts in zip(masks, results, strict=True):
            pixels.update(counts)
            occurrences.update(counts.keys())
            for color, number in counts.items():
                if number > most.get(color, (0, path))[0]:
                    most[color] = number, path
    return [
        FoundColor(color, number, occurrences[color], most[color][1])
        for color, number in pixels.most_common()
    ]


def frequent(colors: Sequence[FoundColor]) -> Sequence[FoundColor]:
    """Those of `find_colors` that seem to be meant: all if they are few, else the frequent ones."""
    if len(colors) <= MOST_COLORS:
        return colors
    total = sum(found.pixels for found in colors)
    return [found for found in colors[:MOST_COLORS] if found.pixels >= _RARE * total]


def found_table(colors: Sequence[FoundColor]) -> ColorTable:
    """A class for each colour that was found, named after it."""
    return ColorTable.of(
        ((_name(found.color), unpack_rgb(found.color)) for found in colors), "masks"
    )


def color_lines(colors: Sequence[FoundColor]) -> str:
    """A table of found colours to edit: `read_color_table` reads it."""
    total = sum(found.pixels for found in colors)
    kept = frequent(colors)
    lines = ["# red green blue name; the name void is ignored, equal names are one class"]
    for found in kept:
        red, green, blue = unpack_rgb(found.color)
        lines.append(
            f"{red:3} {green:3} {blue:3} {_name(found.color):14} # "
            f"{100 * found.pixels / total:.2f} % in {found.masks} masks, most in {found.most_in}"
        )
    if len(colors) > len(kept):
        share = 100 * sum(found.pixels for found in colors[len(kept) :]) / total
        lines.append(
            f"# {len(colors) - len(kept)} more colours cover {share:.2f} %; blurred edges, JPEG? "
            "Then convert with --unknown nearest (or void)."
        )
    return "\n".join(lines) + "\n"


def read_packed(path: Path) -> np.ndarray:
    """A mask of any format as uint32 `(height, width)` packed RGB; alpha is dropped."""
    with open_any(path, path) as image:
        decode(image, path)
        return pack_pixels(np.asarray(image.convert("RGB")))


def unpack_rgb(color: int) -> list[int]:
    """The inverse of `pack_rgb`."""
    return [color >> 16 & 255, color >> 8 & 255, color & 255]


def _name(color: int) -> str:
    return f"color_{color:06x}"


def _json_rows(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise FileError("class_file", path, f"expected JSON. Found: {error}") from error
    if "classes" in content and "palette" in content:
        rows = list(zip(content["classes"], content["palette"], strict=False))
        return rows + [(VOID, color) for color in content.get("void_colors", [])]
    return [(name, _from_hex(color)) for name, color in content.items()]


def _from_hex(color: Any) -> Any:
    if isinstance(color, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        return unpack_rgb(int(color[1:], 16))
    return color if isinstance(color, list) else [color]
