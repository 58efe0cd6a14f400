"""LabelMe's JSON files, one for each image, to masks.

Shapes are drawn in the order of the file, the later over the earlier, as LabelMe's own export does.
"""

import base64
import functools
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pydantic import TypeAdapter

from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    LabelMeFile,
    LabelMeShape,
    Problems,
    check_near,
    read_json,
    validated,
)
from keras_ctxseg.data_tools.prepare.class_list import BACKGROUND, ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.pairing import (
    Exif,
    FileFinder,
    Pair,
    flat_name,
    given_splits,
    normal,
)
from keras_ctxseg.data_tools.prepare.splitting import Splitting
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_pairs

# Shapes, and how many points they have at least.
_POINTS = {"polygon": 3, "rectangle": 2, "oriented_rectangle": 4, "circle": 2, "line": 2,
           "linestrip": 2, "point": 1, "points": 1, "mask": 2}  # fmt: skip
_FILE, _SHAPE = TypeAdapter(LabelMeFile), TypeAdapter(LabelMeShape)
_POINT_RADIUS = 5  # pixels, as LabelMe draws them


def prepare_labelme(
    annotations: str,
    output: str | os.PathLike,
    images: str | None = None,
    classes: str | None = None,
    outside: str = BACKGROUND,
    line_width: int = 10,
    splitting: Splitting | None = None,
    splits: Sequence[str] = (),
    exif: Exif = "auto",
    skip_errors: bool = False,
) -> PreparedFolder:
    """Make a data set of LabelMe annotations.

    Args:
        annotations: the folder of the JSON files, searched with its subfolders; with `splits` it
            holds `{split}`.
        output: the new data set's folder.
        images: where the images are, if neither at `imagePath` nor inside the JSON files.
        classes: names, as in `"car,road"`, or a file with one in a line. They fix the order of the
            ids, and a label that is not among them is an error. Without them all labels that occur
            are classes, sorted by name.
        outside: what pixels without a shape are: `"background"`, a class, or `"void"`.
        line_width: of lines, in pixels.
        splitting, splits, exif: as in `prepare_masks`.
        skip_errors: leave out single shapes and files with a problem; `skipped` names them.

    Raises:
        ValueError: whatever is wrong with the files, by name; nothing is written then.
    """
    problems = Problems()
    folders = {
        split: Path(folder).expanduser()
        for split, (folder,) in given_splits(splits, annotations).items()
    }
    image_folder = Path(images).expanduser() if images else None
    pairs, table = labelme_pairs(folders, image_folder, classes, outside, line_width, problems)
    return write_pairs(output, pairs, table.class_file(), splitting, exif, skip_errors, problems)


def labelme_pairs(
    folders: Mapping[str, Path],
    images: Path | None,
    classes: str | None,
    outside: str,
    line_width: int,
    problems: Problems,
) -> tuple[dict[str, list[Pair]], ClassList]:
    """The pairs of each split's folder of JSON files, and their classes.

    Args:
        folders: by split.
        images, classes, outside, line_width: as in `prepare_labelme`.
        problems: receives what is wrong with single files and shapes.

    Raises:
        ValueError: no such folder, none of LabelMe's files in it, or no class.
    """
    found = {split: _read_all(folder, problems) for split, folder in folders.items()}
    names: Sequence[str]
    if classes:
        names = read_class_names(classes)
    else:
        names = sorted(
            {
                shape["label"]
                for files in found.values()
                for content in files.values()
                for shape in content["shapes"].values()
            }
        )
    table = ClassList.of(names, outside)
    pairs: dict[str, list[Pair]] = {}
    for split, files in found.items():
        finders = [FileFinder(images)] if images else []
        pairs[split] = []
        for (name, path), content in files.items():
            try:
                image = _image(path, content, finders)
            except FileError as error:
                problems.report(error)
                continue
            mask = functools.partial(draw_shapes, content, table, path, line_width, problems)
            size = content["imageHeight"], content["imageWidth"]
            pairs[split].append(Pair(name, image, path, mask, size))
    return pairs, table


def draw_shapes(
    content: dict[str, Any],
    table: ClassList,
    source: Path,
    line_width: int = 10,
    problems: Problems | None = None,
) -> np.ndarray:
    """The mask of one file: uint8 `(imageHeight, imageWidth)`.

    Args:
        content: the validated file, `shapes` by their numbers.
        table: the classes.
        source: the file that errors name.
        line_width: of lines, in pixels.
        problems: receives what is wrong with single shapes, which are left out then.

    Raises:
        FileError: without `problems`, a label outside the classes, or a shape that cannot be drawn.
    """
    height, width = content["imageHeight"], content["imageWidth"]
    mask = Image.new("L", (width, height), table.outside)
    draw = ImageDraw.Draw(mask)
    for number, shape in content["shapes"].items():
        try:
            _draw_shape(mask, draw, shape, number, table, source, line_width)
        except FileError as error:
            if problems is None:
                raise
            problems.report(error)
    return np.asarray(mask)


def _draw_shape(
    mask: Image.Image,
    draw: ImageDraw.ImageDraw,
    shape: dict[str, Any],
    number: int,
    table: ClassList,
    source: Path,
    line_width: int,
) -> None:
    where = f"shapes[{number}]"
    value = table.id_of(shape["label"], source)
    kind = shape.get("shape_type") or "polygon"
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if kind not in _POINTS or len(points) < _POINTS[kind]:
        raise FileError(
            "unreadable",
            source,
            f"{where}: expected one of {', '.join(_POINTS)} with points enough. "
            f"Found: {kind!r} with {len(points)} points",
        )
    check_near(points, mask.height, mask.width, source, f"{where}.points")
    if kind in ("polygon", "oriented_rectangle"):
        draw.polygon(points, fill=value, outline=value)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = points[:2]
        draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), fill=value)
    elif kind in ("circle", "point", "points"):
        radius = math.dist(points[0], points[1]) if kind == "circle" else _POINT_RADIUS
        for x, y in points[: 1 if kind == "circle" else None]:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=value)
    elif kind == "mask":
        stencil = _stencil(shape, number, source)
        left, top = (int(coordinate) for coordinate in points[0])  # as LabelMe places it
        mask.paste(value, (left, top), stencil)
    else:
        draw.line(points, fill=value, width=line_width)


def _stencil(shape: dict[str, Any], number: int, source: Path) -> Image.Image:
    try:
        encoded = base64.b64decode(shape.get("mask") or "", validate=True)
        stored = np.asarray(Image.open(io.BytesIO(encoded)))
    except (ValueError, OSError, SyntaxError) as error:
        text = f"shapes[{number}].mask: expected a PNG in base64. Found: {error}"
        raise FileError("unreadable", source, text) from error
    if stored.ndim != 2:
        text = f"shapes[{number}].mask: expected a PNG of one channel. Found: {stored.shape}"
        raise FileError("unreadable", source, text)
    return Image.fromarray(np.where(stored > 0, 255, 0).astype(np.uint8))


def _read_all(folder: Path, problems: Problems) -> dict[tuple[str, Path], dict[str, Any]]:
    """By name and path of each JSON file."""
    if not folder.is_dir():
        raise FileError("layout", folder, "expected a folder of LabelMe's JSON files. Found: none")
    contents = {}
    paths = sorted(folder.rglob("*.json"))
    for path in paths:
        try:
            content = _read(path, problems)
        except FileError as error:
            problems.report(error)
            continue
        contents[flat_name(path.relative_to(folder).with_suffix("").as_posix()), path] = content
    if not paths:
        raise FileError("layout", folder, "expected LabelMe's JSON files. Found: none")
    return contents


def _read(path: Path, problems: Problems) -> dict[str, Any]:
    """The file's content, its valid `shapes` by their numbers."""
    content = read_json(path)
    keys = {"shapes": list, "imageHeight": int, "imageWidth": int}
    if not isinstance(content, dict) or any(
        not isinstance(content.get(key), kind) for key, kind in keys.items()
    ):
        text = f"expected a LabelMe file with the keys {', '.join(keys)}. Found: another JSON file"
        raise FileError("unreadable", path, text)
    # Whole images are in there; those that are files need not be kept.
    valid = validated(_FILE, content, path) | {"imageData": bool(content.get("imageData"))}
    shapes = {}
    for number, shape in enumerate(valid["shapes"]):
        try:
            shapes[number] = validated(_SHAPE, shape, path, f"shapes[{number}]")
        except FileError as error:
            problems.report(error)
    return valid | {"shapes": shapes}


def _image(
    path: Path, content: dict[str, Any], finders: Sequence[FileFinder]
) -> Path | Callable[[], bytes]:
    stated = normal(content.get("imagePath") or "")
    for finder in finders:
        if stated and (found := finder.find(stated)):
            return found
    for name in dict.fromkeys((stated, stated.rsplit("/", 1)[-1])):
        try:
            if name and (path.parent / name).is_file():
                return path.parent / name
        except (OSError, ValueError):
            pass  # too long, or no name at all
    beside = {normal(file.name): file for file in path.parent.iterdir() if stated}
    if found := beside.get(stated.rsplit("/", 1)[-1]):
        return found
    if content["imageData"]:
        return functools.partial(_embedded, path)
    text = f"expected the image {stated!r} beside it or in --images. Found: none, nor imageData"
    raise FileError("missing_image", path, text)


def _embedded(path: Path) -> bytes:
    try:
        return base64.b64decode(read_json(path)["imageData"])
    except (TypeError, ValueError) as error:
        raise FileError(
            "unreadable", path, f"imageData: expected base64. Found: {error}"
        ) from error
