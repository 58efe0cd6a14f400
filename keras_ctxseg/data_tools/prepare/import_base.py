"""What readers of annotation formats share: a folder's files, splits by name, painted shapes."""

import contextlib
import dataclasses
import fnmatch
import functools
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from keras_ctxseg.data.check_cache import stamp
from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Point,
    Problems,
    Side,
    read_json,
    validated,
)
from keras_ctxseg.data_tools.prepare.class_list import BACKGROUND, ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.pairing import (
    SOURCE_SUFFIXES,
    FileFinder,
    Pair,
    normal,
    open_any,
)

_EXIF_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """What a user may decide about an import.

    Attributes:
        classes: names, in the order of the ids, as in `"car,road"`, or a file with one in a line.
        outside: what pixels without an annotation are: `"background"`, a class, or `"void"`.
        images: the folder of the images, where it is not below the annotations.
        line_width: of LabelMe's lines, in pixels.
        label: the property of GeoJSON's polygons that holds their class.
        by_rows: whether Kaggle's run lengths count along rows; None decides by the file's columns.
    """

    classes: str | None = None
    outside: str = BACKGROUND
    images: Path | None = None
    line_width: int = 10
    by_rows: bool | None = None
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Recognised:
    """A data set in a format that was recognised.

    Attributes:
        format: its name.
        evidence: by which files it was recognised.
        pairs: by split; `""` where the data come without splits.
        class_file: the content of `classes.json`.
        notes: what a user should know about the reading.
    """

    format: str
    evidence: str
    pairs: dict[str, list[Pair]]
    class_file: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Listing:
    """The files of a folder and its subfolders.

    Args:
        root: the folder.
        images: where images are looked for as well.

    Attributes:
        root: the folder.
        files: paths relative to it, with `/`, sorted; hidden files are left out.
    """

    def __init__(self, root: Path, images: Path | None = None):
        self.root = root
        self.files: list[str] = []
        for parent, folders, names in os.walk(root):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
            below = os.path.relpath(parent, root).replace(os.sep, "/")
            prefix = "" if below == "." else f"{below}/"
            self.files += [f"{prefix}{name}" for name in names if not name.startswith(".")]
        self.files.sort()
        self._real = {normal(file): file for file in self.files}
        self._images = images

    def __contains__(self, path: str) -> bool:
        return normal(path) in self._real

    def like(self, *patterns: str) -> list[str]:
        """The files that a pattern matches; `*` matches `/` too."""
        return [file for file in self.files if any(fnmatch.fnmatch(file, p) for p in patterns)]

    def has_folder(self, name: str) -> bool:
        """Whether there are files below a folder of this path."""
        return any(file.startswith(f"{name}/") for file in self.files)

    def path(self, file: str) -> Path:
        """A file's whole path; accents may be composed otherwise than on disk."""
        return self.root / self._real.get(normal(file), file)

    @functools.cached_property
    def pictures(self) -> list[str]:
        """The files that may be images or masks, by their suffixes."""
        return [file for file in self.files if file.lower().endswith(SOURCE_SUFFIXES)]

    @functools.cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for file in self.pictures:
            found.setdefault(normal(os.path.splitext(file)[0]), []).append(file)
        return found

    def picture(self, stem: str) -> Path | None:
        """The image at a path without suffix, whatever its suffix is.

        One of its name in the folder `images` does as well.
        """
        if files := self._by_stem.get(normal(stem), []):
            return self.path(files[0])
        name = stem.rsplit("/", 1)[-1]
        for finder in self._finders[:1] if self._images else []:
            for suffix in SOURCE_SUFFIXES:
                if found := finder.find(f"{name}{suffix}"):
                    return found
        return None

    @functools.cached_property
    def _finders(self) -> list[FileFinder]:
        return [FileFinder(folder) for folder in (self._images, self.root) if folder]

    def image(self, stated: str, source: Path) -> Path:
        """The image that an annotation file states.

        Raises:
            FileError: there is none.
        """
        for finder in self._finders:
            if found := finder.find(stated):
                return found
        text = f"expected the image {stated!r:.200} below the folder or in --images. Found: none"
        raise FileError("missing_image", source, text)


def split_in(path: str) -> str:
    """The split that the innermost part of a relative path means, its file's name left out."""
    return next(filter(None, map(split_of, reversed(path.split("/")[:-1]))), "")


def split_in_name(file: str) -> str:
    """The split that a word of a file's name means: `instances_train2017.json`, `val_coco.json`."""
    return next(filter(None, map(split_of, reversed(re.split(r"[\W_]+", Path(file).stem)))), "")


def settle_splits(pairs: Mapping[str, Sequence[Pair]]) -> dict[str, list[Pair]]:
    """The data's own splits where there are two or more; else all pairs in the split `""`.

    A single pair is for training: there is nothing to split.

    `trainval` is the union of the other two and is used only without them.
    """
    filled = {split: list(some) for split, some in pairs.items() if some}
    if "trainval" in filled and filled.keys() & {"train", "val"}:
        del filled["trainval"]
    order = ["train", "val", "test"]
    if len(filled) > 1 and "train" in filled and "" not in filled:
        return {split: filled[split] for split in sorted(filled, key=order.index)}
    everything = [pair for some in filled.values() for pair in some]
    return {"train" if len(everything) == 1 else "": everything}


@dataclasses.dataclass(frozen=True)
class Shape:
    """An annotated region.

    Attributes:
        label: its class's name.
        where: its place in the annotation file.
        region: from height and width of the image to bool `(height, width)`; may raise `FileError`.
    """

    label: str
    where: str
    region: Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image and its shapes, in the order in which they are painted.

    Attributes:
        name: of the pair.
        image: its file.
        source: the annotation file.
        shapes: the later over the earlier.
        size: height and width as the annotation file states them, None if it does not.
        largest_first: whether shapes are painted by their sizes instead, the smallest on top.
    """

    name: str
    image: Path
    source: Path
    shapes: Sequence[Shape]
    size: tuple[int, int] | None = None
    largest_first: bool = False


def painted(
    images: Mapping[str, Sequence[AnnotatedImage]],
    declared: Iterable[str],
    options: ImportOptions,
    problems: Problems,
) -> tuple[dict[str, list[Pair]], dict[str, Any]]:
    """Pairs and class file of annotated images.

    Args:
        images: by split.
        declared: names of the classes in the order of the file; labels beyond follow, sorted.
        options: of the import.
        problems: receives what is wrong with single shapes.

    Raises:
        ValueError: no class.
    """
    labels = {shape.label for some in images.values() for image in some for shape in image.shapes}
    names = list(dict.fromkeys(declared))
    names += sorted(labels - set(names))
    table = ClassList.of(
        read_class_names(options.classes) if options.classes else names, options.outside
    )
    pairs = {
        split: [
            Pair(
                image.name,
                image.image,
                image.image,
                functools.partial(_paint, image, table, problems),
                image.size,
                image.source,
            )
            for image in some
        ]
        for split, some in images.items()
    }
    return settle_splits(pairs), table.class_file()


def _paint(image: AnnotatedImage, table: ClassList, problems: Problems) -> np.ndarray:
    height, width = image.size or upright_size(image.image)
    mask = np.full((height, width), table.outside, np.uint8)
    waiting = []
    for shape in image.shapes:
        if table.knows(shape.label):
            with reporting(problems, image.source, shape.where):
                region = shape.region(height, width)
                index = table.id_of(shape.label, image.source)
                if image.largest_first:
                    waiting.append((-int(region.sum()), index, np.packbits(region)))
                else:
                    mask[region] = index
    for _, index, packed in sorted(waiting, key=lambda item: item[0]):
        mask[np.unpackbits(packed, count=mask.size).reshape(mask.shape).astype(bool)] = index
    return mask


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width of an image as viewers show it, from its header."""
    with open_any(path, path) as image:
        lying = image.getexif().get(_EXIF_ORIENTATION, 1) in _LYING
        return (image.width, image.height) if lying else (image.height, image.width)


@contextlib.contextmanager
def reporting(problems: Problems, source: Path, where: str) -> Iterator[None]:
    """Reports what goes wrong inside the block, naming the file and the place."""
    try:
        yield
    except FileError as error:
        problems.report(error)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        what = f"no key {error}" if isinstance(error, KeyError) else str(error)
        text = f"{where}: expected what the format writes. Found: {what:.200}"
        problems.report(FileError("unreadable", source, text))


_POINTS: TypeAdapter = TypeAdapter(list[Point])


_SMALL, _LARGE = 4 << 20, 32 << 20  # bytes: what is remembered, what is not parsed twice
_TRAITS = ("images", "annotations", "categories", "label_classes")


def sniffed(listing: Listing, test: Callable[[Any], bool]) -> list[str]:
    """The JSON files of folders whose first files pass a test."""
    folders: dict[str, list[str]] = defaultdict(list)
    for file in listing.like("*.json"):
        folders[file.rpartition("/")[0]].append(file)
    found = []
    for files in folders.values():
        for file in files[:8] if len(files) > 8 else files:
            try:
                passed = test(first_look(listing.path(file)))
            except FileError:
                continue
            if passed:
                # Many files: one for each image. Few: each for itself.
                found += files if len(files) > 8 else [file]
                if len(files) > 8:
                    break
    return found


def first_look(path: Path) -> Any:
    """The content of a JSON file; of a large one only what tells its format."""
    size = path.stat().st_size
    if size > _LARGE:
        return _traits(path)
    return _content(path, stamp(path)) if size <= _SMALL else read_json(path)


@functools.lru_cache(maxsize=64)
def _content(path: Path, _: tuple[int, int]) -> Any:
    """Remembered until the file changes: several readers look at the same files."""
    return read_json(path)


def _traits(path: Path) -> Any:
    """What a large file would look like if it were short: the keys that its format has."""
    text = path.read_bytes()
    if text.lstrip()[:1] == b"[":
        tasks = b'"original_width"' in text and b'"data"' in text
        return [{"data": {}, "annotations": []}] if tasks else []
    keys = [key for key in _TRAITS if f'"{key}"'.encode() in text]
    content: dict[str, Any] = {key: [] for key in keys}
    if b'"segments_info"' in text and "annotations" in content:
        content["annotations"] = [{"segments_info": []}]
    if "images" in content and (name := re.search(rb'"file_name"\s*:\s*"([^"]*)"', text)):
        content["images"] = [{"file_name": name[1].decode(errors="replace")}]
    return content


def points_of(value: Any, source: Path, where: str) -> np.ndarray:
    """Pairs of finite numbers as float64 `(points, 2)`. Raises `FileError`."""
    return np.array(validated(_POINTS, value, source, where), np.float64).reshape(-1, 2)


def rings_of(paths: Sequence[Any], source: Path, where: str) -> list[np.ndarray]:
    """Rings of `{"x": ..., "y": ...}` points as arrays."""
    return [
        points_of([[point["x"], point["y"]] for point in path], source, where) for path in paths
    ]


_SIDE: TypeAdapter = TypeAdapter(Side)


def stated_size(height: Any, width: Any, source: Path, where: str) -> tuple[int, int]:
    """Height and width that an annotation file states. Raises `FileError`."""
    return validated(_SIDE, height, source, where), validated(_SIDE, width, source, where)


def text_of(path: Path) -> str:
    """The text of a file. Raises `FileError` where it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise FileError("unreadable", path, f"expected text in UTF-8. Found: {error}") from error
