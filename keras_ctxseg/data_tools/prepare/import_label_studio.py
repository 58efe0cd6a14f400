"""Label Studio's JSON and its brush PNGs."""

import base64
import functools
import io
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Count,
    Number,
    Problems,
    Side,
    read_json,
    validated,
)
from keras_ctxseg.data_tools.prepare.drawing import (
    coco_polygons,
    ellipse,
    rotated_box,
)
from keras_ctxseg.data_tools.prepare.import_base import (
    AnnotatedImage,
    ImportOptions,
    Listing,
    Recognised,
    Shape,
    painted,
    points_of,
    reporting,
    sniffed,
    split_in,
    stated_size,
)
from keras_ctxseg.data_tools.prepare.mask_code import raw_values
from keras_ctxseg.data_tools.prepare.pairing import SOURCE_SUFFIXES, flat_name

_SIDE = TypeAdapter(Side)


_COUNTS = TypeAdapter(list[Count])


_NUMBERS = TypeAdapter(list[Number])


def read_label_studio(
    listing: Listing, options: ImportOptions, problems: Problems
) -> Recognised | None:
    """Label Studio's JSON or JSON-MIN: brushes, polygons, rectangles and ellipses.

    Of several annotations of a task the ground truth counts, else the last that was not cancelled.
    Beside exported brush PNGs (`task-1-annotation-2-...png`) the PNGs are read.
    """
    files = sniffed(listing, _is_label_studio)
    brushes = [file for file in listing.like("*task-*-annotation-*.png") if "-by-" in file]
    if not files:
        return _read_brush_pngs(listing, brushes, {}, options, problems) if brushes else None
    images: dict[str, list[AnnotatedImage]] = {}
    by_task: dict[str, Path] = {}
    for file in files:
        path = listing.path(file)
        for number, task in enumerate(read_json(path)):
            with reporting(problems, path, f"[{number}]"):
                image = _label_studio_image(listing, task, path)
                by_task[str(task.get("id", number))] = image
                results = _results(task)
                size, shapes = None, []
                for result, kind, value in _merged(results):
                    where = f"[{number}].{kind} {result.get('id', '')}".rstrip()
                    size = size or stated_size(
                        result["original_height"], result["original_width"], path, where
                    )
                    labels = next(
                        (v for key, v in value.items() if key.endswith("labels") and v), None
                    )
                    if not labels:
                        continue
                    region = functools.partial(_label_studio_region, value, kind, path, where)
                    shapes.append(Shape(str(labels[0]), where, region))
                images.setdefault(split_in(file), []).append(
                    AnnotatedImage(flat_name(image.stem), image, path, shapes, size)
                )
    if brushes:
        return _read_brush_pngs(listing, brushes, by_task, options, problems)
    pairs, table = painted(images, (), options, problems)
    return Recognised("Label Studio", ", ".join(files[:4]), pairs, table)


def _is_label_studio(content: Any) -> bool:
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return False
    task = content[0]
    if isinstance(task.get("data"), dict) and ("annotations" in task or "completions" in task):
        return True
    return any(_is_min(value) for value in task.values())


def _is_min(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and ("original_width" in value[0])
    )


def _results(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    if isinstance(task.get("data"), dict):
        some = task.get("annotations") or task.get("completions") or []
        some = [entry for entry in some if not entry.get("was_cancelled")]
        truth = [entry for entry in some if entry.get("ground_truth")]
        return list(truth[0]["result"] if truth else some[-1]["result"]) if some else []
    # JSON-MIN: the value's keys stand beside those of the result.
    return [entry for value in task.values() if _is_min(value) for entry in value]


def _merged(results: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Results with a shape: the result, its kind and its value, labels of the same id included."""
    values: dict[Any, dict[str, Any]] = {}
    first: dict[Any, dict[str, Any]] = {}
    for number, result in enumerate(results):
        key = result.get("id", f"#{number}")
        value = result["value"] if isinstance(result.get("value"), dict) else result
        values.setdefault(key, {}).update(value)
        first.setdefault(key, result)
    found = []
    for key, value in values.items():
        if "rle" in value:
            kind = "brush"
        elif "imageDataURL" in value:
            kind = "bitmask"
        elif "points" in value:
            kind = "polygon"
        elif "radiusX" in value:
            kind = "ellipse"
        elif "width" in value and "x" in value:
            kind = "rectangle"
        else:
            continue
        found.append((first[key], kind, value))
    return found


def _label_studio_image(listing: Listing, task: Mapping[str, Any], source: Path) -> Path:
    data = task["data"] if isinstance(task.get("data"), dict) else task
    texts = [value for value in data.values() if isinstance(value, str)]
    if isinstance(task.get("file_upload"), str):
        texts.append(task["file_upload"])
    for text in texts:
        url = urllib.parse.urlparse(text)
        query = urllib.parse.parse_qs(url.query).get("d", [""])[0]
        path = urllib.parse.unquote(query or url.path)
        if not path.lower().endswith(SOURCE_SUFFIXES):
            continue
        name = path.rsplit("/", 1)[-1]
        for stated in (path.lstrip("/"), name, re.sub(r"^[0-9a-f]{8}-", "", name)):
            try:
                return listing.image(stated, source)
            except FileError:
                continue
    text = f"expected the image of task {task.get('id')} below the folder or in --images. Found: "
    raise FileError("missing_image", source, text + f"none ({texts[:1]!r:.120})")


def _label_studio_region(
    value: Mapping[str, Any], kind: str, source: Path, where: str, height: int, width: int
) -> np.ndarray:
    if kind == "brush":
        channels = label_studio_rle(value["rle"], source, where)
        if len(channels) != height * width * 4:
            text = f"{where}: expected run lengths of {height}x{width}x4. Found: {len(channels)}"
            raise FileError("unreadable", source, text)
        return channels.reshape(height, width, 4)[..., 3] > 0
    if kind == "bitmask":
        return _bitmask(value["imageDataURL"], height, width, source, where)
    percent = np.array([width, height]) / 100
    if kind == "polygon":
        points = points_of(value["points"], source, f"{where}.points") * percent
        return coco_polygons([points], height, width, source, where)
    keys = ("x", "y", "radiusX", "radiusY") if kind == "ellipse" else ("x", "y", "width", "height")
    numbers = validated(_NUMBERS, [value[key] for key in keys], source, where)
    angle = float(value.get("rotation") or 0)
    (x, y), (a, b) = np.array(numbers).reshape(2, 2) * percent
    if kind == "ellipse":
        return ellipse((x, y), (a, b), angle, height, width, source, where)
    corners = [(x, y), (x + a, y), (x + a, y + b), (x, y + b)]
    box = rotated_box(corners, angle, (x, y))  # Label Studio turns about the first corner
    return coco_polygons([box], height, width, source, where)


def _bitmask(url: str, height: int, width: int, source: Path, where: str) -> np.ndarray:
    """A mask of Label Studio's BitMask tool: a PNG, black outside, in a data URL."""
    try:
        encoded = base64.b64decode(url.partition("base64,")[2], validate=True)
        with Image.open(io.BytesIO(encoded)) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except (AttributeError, ValueError, OSError, SyntaxError) as error:
        text = f"{where}.imageDataURL: expected a PNG in base64. Found: {error}"
        raise FileError("unreadable", source, text) from error
    if rgba.shape[:2] != (height, width):
        text = f"{where}.imageDataURL: expected {height}x{width}. Found: {rgba.shape[:2]}"
        raise FileError("size_mismatch", source, text)
    return (rgba[..., :3].max(axis=-1) > 0) & (rgba[..., 3] > 0)


def label_studio_rle(data: Any, source: Path, where: str) -> np.ndarray:
    """Label Studio's packed run lengths (the format of thi.ng/rle-pack): uint8 values.

    A header of 32 bits for the number of values, 5 for their width and four times 4 for the widths
    of run lengths; then blocks: a bit that says whether one value is repeated, two that choose the
    width of the length, the length less one, and the value or values.

    Raises:
        FileError: numbers that are no bytes, or data that end too early.
    """
    numbers = validated(_COUNTS, data, source, f"{where}.rle")
    if max(numbers, default=256) > 255:
        raise FileError("unreadable", source, f"{where}.rle: expected bytes. Found: others")
    total, place = len(numbers) * 8, 0
    text = bytes(numbers)

    def read(count: int) -> int:
        nonlocal place
        if place + count > total:
            found = f"{len(numbers)} bytes, which end too early"
            raise FileError(
                "unreadable", source, f"{where}.rle: expected all values. Found: {found}"
            )
        first, last = place // 8, (place + count + 7) // 8
        chunk = int.from_bytes(text[first:last], "big")
        place += count
        return chunk >> (last * 8 - place) & ((1 << count) - 1)

    size = read(32)
    word = read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    if size > 1 << 33 or size > (1 << 16) * total:
        raise FileError(
            "unreadable", source, f"{where}.rle: expected an image. Found: {size} values"
        )
    values = np.zeros(size, np.uint8)
    index = 0
    while index < size:
        repeated = read(1)
        end = index + 1 + read(widths[read(2)])
        if repeated:
            values[index:end] = read(word) & 255
        elif word == 8:
            count = min(end, size) - index
            block = read(8 * count).to_bytes(count, "big")
            values[index : index + count] = np.frombuffer(block, np.uint8)
        else:
            for number in range(index, min(end, size)):
                values[number] = read(word) & 255
        index = end
    return values


_BRUSH = re.compile(r"task-(\d+)-annotation-(\d+)-by-(.*?)-(.+)-(\d+)\.png$")


def _read_brush_pngs(
    listing: Listing,
    brushes: list[str],
    by_task: Mapping[str, Path],
    options: ImportOptions,
    problems: Problems,
) -> Recognised:
    tasks: dict[str, list[tuple[str, str, str]]] = {}
    for file in brushes:
        if match := _BRUSH.search(file):
            task, annotation, _, rest, _ = match.groups()
            label = rest.split("-", 1)[-1]  # after the name of the control
            tasks.setdefault(task, []).append((annotation, label, file))
    known = dict(by_task)
    photos = [file for file in listing.pictures if file not in brushes]
    if not known:
        for task in tasks:
            own = [file for file in photos if re.search(rf"(^|\D){task}(\D|$)", Path(file).stem)]
            if len(own) == 1:
                known[task] = listing.path(own[0])
        if len(tasks) == len(photos) == 1:
            known[next(iter(tasks))] = listing.path(photos[0])
    images = []
    for task, some in tasks.items():
        if task not in known:
            text = f"expected to know the image of task {task}. Found: no JSON export of the same "
            problems.report(
                FileError(
                    "missing_image",
                    listing.path(some[0][2]),
                    text + "tasks beside the PNGs (export it as JSON-MIN)",
                )
            )
            continue
        latest = max(int(annotation) for annotation, _, _ in some)
        shapes = [
            Shape(label, Path(file).name, functools.partial(_png_region, listing.path(file)))
            for annotation, label, file in some
            if int(annotation) == latest
        ]
        image = known[task]
        images.append(
            AnnotatedImage(flat_name(image.stem), image, listing.path(some[0][2]), shapes)
        )
    pairs, table = painted({"": images}, (), options, problems)
    return Recognised("Label Studio brush PNGs", f"{len(brushes)} files task-*.png", pairs, table)


def _png_region(path: Path, height: int, width: int) -> np.ndarray:
    values, _ = raw_values(path)
    if values.shape != (height, width):
        text = f"expected the size of its image, {height}x{width}. Found: {values.shape}"
        raise FileError("size_mismatch", path, text)
    return values > 0
