"""`classes.json`: which classes a folder's masks hold and how they are written there.

    {
      "classes": ["sky", "building", "road"],            required; class id = place in this list
      "void": 11,                                        raw id, or list of raw ids, to ignore
      "ignore_label": 11,                                another word for "void"
      "label_map": {"7": 2, "8": "road", "0": "void"},   raw id -> class id, class name or "void"
      "palette": [[128, 128, 128], [128, 0, 0], [128, 64, 128]],   RGB, one per class
      "void_colors": [[0, 0, 0]],                        with mask_format="colors": ignored colours
      "things": ["car"],                                 of panoptic runs: classes of counted things
      "images": {"range": [0, 4095], "bands": [4, 3, 2]}   how images are read, see `ImageReading`
    }

Without `label_map` a raw id is the class id. Without `void` and `ignore_label` the raw id 255 is
ignored. Every ignored pixel becomes `IGNORE_LABEL` (255), whatever its raw id. A raw id that the
file does not mention is an error in the mask that holds it.
"""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ctxseg._naming import nearest
from keras_ctxseg._text import is_clean, shown
from keras_ctxseg.data.image_reading import PLAIN, ImageReading, ReadingError
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_KEYS = ("classes", "void", "ignore_label", "label_map", "palette", "void_colors", "things",
         "images")  # fmt: skip
_RAW_IDS = 1 << 16
_LARGEST = 4 * 2**20  # bytes


@dataclasses.dataclass(frozen=True, eq=False)
class ClassTable:
    """The content of `classes.json`, ready for use.

    Attributes:
        class_names: names in the order of the class ids.
        palette: uint8 `(classes, 3)`; a default one if the file has none.
        class_ids: int16 `(65536,)`, raw id -> class id, `IGNORE_LABEL`, or -1 where unknown.
        colors: packed RGB (`red << 16 | green << 8 | blue`) -> class id or `IGNORE_LABEL`; empty
            if the file has no palette.
        thing_classes: ids of the classes whose objects are told apart.
        images: how images are read.
        text: the file's normalised text, which changes when its meaning may have changed.
    """

    class_names: tuple[str, ...]
    palette: np.ndarray
    class_ids: np.ndarray
    colors: dict[int, int]
    text: str
    thing_classes: tuple[int, ...] = ()
    images: ImageReading = PLAIN

    def color_ids(self) -> np.ndarray:
        """int16 `(2**24,)`: packed RGB -> class id, `IGNORE_LABEL`, or -1 where unknown."""
        table = np.full(1 << 24, -1, np.int16)
        table[list(self.colors)] = list(self.colors.values())
        return table

    def id_file(self) -> dict[str, Any]:
        """The content of a `classes.json` for masks that hold the class ids themselves."""
        content = {
            "classes": list(self.class_names),
            "void": IGNORE_LABEL,
            "palette": self.palette.tolist(),
        }
        images = self.images.as_dict()
        return content | ({"images": images} if images else {})

    @property
    def known_raw_ids(self) -> str:
        """The raw ids that a mask may hold, as text for error messages."""
        ids = np.flatnonzero(self.class_ids >= 0)
        void = ids[self.class_ids[ids] == IGNORE_LABEL]
        return f"{id_ranges(np.setdiff1d(ids, void))} (classes) or {id_ranges(void)} (void)"


def read_class_file(path: str | os.PathLike) -> ClassTable:
    """Read and check a `classes.json`; its schema is this module's docstring.

    Raises:
        FileError: no such file, no JSON, or a key with a wrong value; names file and key.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError(f"more than {_LARGEST // 2**20} MiB")
        # Editors of Windows write a mark first.
        content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_distinct)
    except FileNotFoundError:
        text = 'expected a file with the classes\' names, {"classes": ["sky", ...], "void": 255}. '
        raise FileError("class_file", path, f"{text}Found: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FileError("class_file", path, f"expected JSON. Found: {error}") from error
    return _ClassFile(path, content).table()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose keys may not repeat."""
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shown(twice)} given twice")
    return content


class _ClassFile:
    def __init__(self, path, content):
        self.path, self.content = path, content
        self.require(isinstance(content, dict), "", "an object with the key `classes`", content)
        for key in content:
            self.require(
                key in _KEYS,
                key,
                f"one of {', '.join(_KEYS)}.{nearest(key, _KEYS)}",
                key,
            )
        names = content.get("classes")
        distinct = isinstance(names, list) and len({str(name) for name in names}) == len(names)
        self.require(
            distinct and 1 <= len(names) <= IGNORE_LABEL and all(map(_is_name, names)),
            "classes",
            f"a list of 1 to {IGNORE_LABEL} different names without control characters",
            names,
        )
        self.names = names

    def require(self, condition, key, expected, found):
        if not condition:
            where = f"`{key}`: " if key and is_clean(key) else ""
            text = f"{where}expected {expected}. Found: {shown(found)}"
            raise FileError("class_file", self.path, text)

    def table(self) -> ClassTable:
        void_colors = self.colors("void_colors", self.content.get("void_colors", []))
        palette = self.content.get("palette")
        packed = {}
        if palette is not None:
            colors = self.colors("palette", palette)
            one_each = len(colors) == len(self.names)
            self.require(
                one_each,
                "palette",
                f"{len(self.names)} colours, one per class",
                palette,
            )
            packed = {pack_rgb(color): index for index, color in enumerate(colors)}
            packed |= {pack_rgb(color): IGNORE_LABEL for color in void_colors}
            palette = np.array(colors, np.uint8)
        return ClassTable(
            class_names=tuple(self.names),
            palette=default_palette(len(self.names)) if palette is None else palette,
            class_ids=self.class_ids(),
            colors=packed,
            text=json.dumps(self.content, sort_keys=True),
            thing_classes=self.thing_classes(),
            images=self.images(),
        )

    def images(self) -> ImageReading:
        options = self.content.get("images", {})
        self.require(isinstance(options, dict), "images", "an object of options", options)
        try:
            return ImageReading.of(options)
        except ReadingError as error:
            raise FileError("class_file", self.path, str(error)) from error

    def thing_classes(self) -> tuple[int, ...]:
        names = self.content.get("things", [])
        known = isinstance(names, list) and all(name in self.names for name in names)
        self.require(known, "things", f"a list of some of {', '.join(self.names)}", names)
        return tuple(map(self.names.index, names))

    def class_ids(self) -> np.ndarray:
        table = np.full(_RAW_IDS, -1, np.int16)
        label_map = self.content.get("label_map", {str(i): i for i in range(len(self.names))})
        self.require(isinstance(label_map, dict), "label_map", "an object", label_map)
        for raw, target in label_map.items():
            valid = raw.isascii() and raw.isdecimal() and len(raw) < 9 and int(raw) < _RAW_IDS
            self.require(valid, "label_map", f"raw ids in 0 ... {_RAW_IDS - 1} as keys", raw)
            table[int(raw)] = self.target(raw, target)
        for key in ("void", "ignore_label"):
            for raw in self.void_ids(key):
                taken = 0 <= table[raw] < len(self.names)
                self.require(not taken, key, f"a raw id that is no class (as {raw} is)", raw)
                table[raw] = IGNORE_LABEL
        if not {"void", "ignore_label"} & self.content.keys() and table[IGNORE_LABEL] < 0:
            table[IGNORE_LABEL] = IGNORE_LABEL
        return table

    def target(self, raw, target) -> int:
        if target == "void":
            return IGNORE_LABEL
        if isinstance(target, str):
            expected = f"a class name, a class id or 'void'.{nearest(target, self.names)}"
            self.require(target in self.names, f"label_map.{raw}", expected, target)
            return self.names.index(target)
        valid = type(target) is int and 0 <= target < len(self.names)
        self.require(
            valid,
            f"label_map.{raw}",
            f"a class id in 0 ... {len(self.names) - 1}",
            target,
        )
        return target

    def void_ids(self, key) -> Sequence[int]:
        value = self.content.get(key, [])
        ids = value if isinstance(value, list) else [value]
        valid = all(type(raw) is int and 0 <= raw < _RAW_IDS for raw in ids)
        self.require(valid, key, f"raw ids in 0 ... {_RAW_IDS - 1}", value)
        return ids

    def colors(self, key, value) -> list[tuple[int, int, int]]:
        valid = isinstance(value, list) and all(
            isinstance(color, list)
            and len(color) == 3
            and all(type(channel) is int and 0 <= channel <= 255 for channel in color)
            for color in value
        )
        self.require(valid, key, "a list of [red, green, blue] in 0 ... 255", value)
        colors = [tuple(color) for color in value]
        self.require(len(set(colors)) == len(colors), key, "different colours", value)
        return colors


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != "" and is_clean(value)


def pack_rgb(color) -> int:
    """One integer per colour: `red << 16 | green << 8 | blue`."""
    red, green, blue = color
    return int(red) << 16 | int(green) << 8 | int(blue)


def id_ranges(ids: np.ndarray) -> str:
    """`0 ... 10, 255` for the sorted ids 0 to 10 and 255."""
    if not len(ids):
        return "none"
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1)
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]} ... {run[-1]}" for run in runs]
    return ", ".join(texts[:8] + (["..."] if len(texts) > 8 else []))
