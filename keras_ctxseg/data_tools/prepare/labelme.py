"""LabelMe's JSON files, one for each image, to masks.

Shapes are drawn in the order of the file, the later over the earlier, as LabelMe's own export does.
"""

import base64
import binascii
import functools
import io
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.class_list import BACKGROUND, ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.pairing import Exif, Pair, given_splits
from keras_ctxseg.data_tools.prepare.splitting import Splitting
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_pairs

_POINTS = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "point": 1,
           "mask": 2}  # fmt: skip
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
        splitting, splits, exif, skip_errors: as in `prepare_masks`.

    Raises:
        ValueError: whatever is wrong with the files, by name; nothing is written then.
    """
    found = {
        split: _read_all(Path(folder).expanduser())
        for split, (folder,) in given_splits(splits, annotations).items()
    }
    if classes:
        names = read_class_names(classes)
    else:
        names = sorted(
            {
                str(shape["label"])
                for files in found.values()
                for content in files.values()
                for shape in content["shapes"]
            }
        )
    table = ClassList.of(names, outside)
    image_folder = Path(images).expanduser() if images else None
    pairs = {
        split: [
            Pair(
                name,
                _image(path, content, image_folder),
                path,
                functools.partial(draw_shapes, content, table, path, line_width),
            )
            for (name, path), content in files.items()
        ]
        for split, files in found.items()
    }
    return write_pairs(output, pairs, table.class_file(), splitting, exif, skip_errors)


def draw_shapes(
    content: dict[str, Any], table: ClassList, source: Path, line_width: int = 10
) -> np.ndarray:
    """The mask of one file: uint8 `(imageHeight, imageWidth)`.

    Raises:
        FileError: a label outside the classes, or a shape that cannot be drawn.
    """
    size = (content["imageWidth"], content["imageHeight"])
    mask = Image.new("L", size, table.outside)
    draw = ImageDraw.Draw(mask)
    for number, shape in enumerate(content["shapes"]):
        value = table.id_of(str(shape["label"]), source)
        kind = shape.get("shape_type") or "polygon"
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if kind not in _POINTS or len(points) < _POINTS[kind]:
            raise FileError(
                "unreadable",
                source,
                f"shapes[{number}]: expected one of {', '.join(_POINTS)} with points enough. "
                f"Found: {kind!r} with {len(points)} points",
            )
        if kind == "polygon":
            draw.polygon(points, fill=value, outline=value)
        elif kind == "rectangle":
            (x0, y0), (x1, y1) = points[:2]
            draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), fill=value)
        elif kind in ("circle", "point"):
            x, y = points[0]
            radius = math.dist(points[0], points[1]) if kind == "circle" else _POINT_RADIUS
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=value)
        elif kind == "mask":
            stencil = _stencil(shape, number, source)
            left, top = (round(coordinate) for coordinate in points[0])
            mask.paste(value, (left, top), stencil)
        else:
            draw.line(points, fill=value, width=line_width)
    return np.asarray(mask)


def _stencil(shape: dict[str, Any], number: int, source: Path) -> Image.Image:
    try:
        stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
    except (KeyError, TypeError, binascii.Error, OSError) as error:
        text = f"shapes[{number}].mask: expected a PNG in base64. Found: {error}"
        raise FileError("unreadable", source, text) from error
    return Image.fromarray(np.where(stored > 0, 255, 0).astype(np.uint8))


def _read_all(folder: Path) -> dict[tuple[str, Path], dict[str, Any]]:
    """By name and path of each JSON file."""
    if not folder.is_dir():
        raise FileError("layout", folder, "expected a folder of LabelMe's JSON files. Found: none")
    contents = {}
    for path in sorted(folder.rglob("*.json")):
        content = _read(path)
        name = path.relative_to(folder).with_suffix("").as_posix().replace("/", "__")
        contents[name, path] = content
    if not contents:
        raise FileError("layout", folder, "expected LabelMe's JSON files. Found: none")
    return contents


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FileError("unreadable", path, f"expected JSON. Found: {error}") from error
    keys = {"shapes": list, "imageHeight": int, "imageWidth": int}
    if not isinstance(content, dict) or any(
        not isinstance(content.get(key), kind) for key, kind in keys.items()
    ):
        text = f"expected a LabelMe file with the keys {', '.join(keys)}. Found: another JSON file"
        raise FileError("unreadable", path, text)
    for number, shape in enumerate(content["shapes"]):
        if not isinstance(shape, dict) or any(key not in shape for key in ("label", "points")):
            text = f"shapes[{number}]: expected the keys label and points. Found: {shape!r:.80}"
            raise FileError("unreadable", path, text)
    # Whole images stand in there; those that are files need not be kept.
    content["imageData"] = bool(content.get("imageData"))
    return content


def _image(path: Path, content: dict[str, Any], folder: Path | None) -> Path | Callable[[], bytes]:
    stated = str(content.get("imagePath") or "").replace("\\", "/")
    names = [stated, Path(stated).name] if stated else []
    for place in [*([folder] if folder else []), path.parent]:
        for name in names:
            if (place / name).is_file():
                return place / name
    if content["imageData"]:
        return functools.partial(_embedded, path)
    text = f"expected the image {stated!r} beside it or in --images. Found: none, nor imageData"
    raise FileError("missing_image", path, text)


def _embedded(path: Path) -> bytes:
    try:
        return base64.b64decode(json.loads(path.read_text(encoding="utf-8-sig"))["imageData"])
    except (TypeError, binascii.Error) as error:
        raise FileError(
            "unreadable", path, f"imageData: expected base64. Found: {error}"
        ) from error
