"""Supervisely, Label Studio, Darwin (V7) and Hasty: each tool's JSON, painted as the tool does."""

import base64
import binascii
import contextlib
import functools
import io
import re
import urllib.parse
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Count,
    Number,
    Problems,
    Side,
    check_sum,
    read_json,
    validated,
)
from keras_ctxseg.data_tools.prepare.drawing import (
    coco_polygons,
    ellipse,
    filled,
    placed,
    rotated_box,
    runs,
)
from keras_ctxseg.data_tools.prepare.import_base import (
    AnnotatedImage,
    ImportOptions,
    Listing,
    Recognised,
    Shape,
    painted,
    raw_values,
    reporting,
    split_in,
)
from keras_ctxseg.data_tools.prepare.import_shapes import points_of, rings_of, sniffed
from keras_ctxseg.data_tools.prepare.pairing import SOURCE_SUFFIXES, flat_name

_SIDE, _COUNTS, _NUMBERS = TypeAdapter(Side), TypeAdapter(list[Count]), TypeAdapter(list[Number])


def _size(height: Any, width: Any, source: Path, where: str) -> tuple[int, int]:
    return validated(_SIDE, height, source, where), validated(_SIDE, width, source, where)


def read_supervisely(
    listing: Listing, options: ImportOptions, problems: Problems
) -> Recognised | None:
    """A Supervisely project: `meta.json`, and `ann/` and `img/` in each data set's folder."""
    metas = listing.like("meta.json", "*/meta.json")
    files = [file for file in listing.like("*.json") if "/ann/" in f"/{file}"]
    if not metas or not files:
        return None
    content = read_json(listing.path(metas[0]))
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list):
        return None
    declared = [str(entry["title"]) for entry in content["classes"]]
    images: dict[str, list[AnnotatedImage]] = {}
    skipped: dict[str, int] = {}
    for file in files:
        path = listing.path(file)
        with reporting(problems, path, "annotation"):
            annotation = read_json(path)
            stem = file[: -len(".json")].replace("/ann/", "/img/", 1)
            stem = stem if "/img/" in stem else re.sub("^ann/", "img/", stem)
            image = listing.path(stem) if stem in listing else listing.picture(stem)
            name = stem.rsplit("/", 1)[-1]
            image = image or listing.image(name, path)
            size = annotation["size"]
            shapes = []
            for number, entry in enumerate(annotation["objects"]):
                kind = entry.get("geometryType") or ("bitmap" if entry.get("bitmap") else "polygon")
                if kind not in ("bitmap", "polygon", "rectangle", "alpha_mask"):
                    skipped[kind] = skipped.get(kind, 0) + 1
                    continue
                where = f"objects[{number}]"
                region = functools.partial(_supervisely_region, entry, kind, path, where)
                shapes.append(Shape(str(entry["classTitle"]), where, region))
            folder = stem.split("/img/")[0] if "/img/" in stem else ""
            key = flat_name(Path(f"{folder}/{name}").with_suffix("").as_posix())
            images.setdefault(split_in(file), []).append(
                AnnotatedImage(
                    key, image, path, shapes, _size(size["height"], size["width"], path, "size")
                )
            )
    pairs, table = painted(images, declared, options, problems)
    notes = tuple(
        f"{count} objects of the kind {kind} have no area and are left out"
        for kind, count in skipped.items()
    )
    return Recognised("Supervisely", metas[0], pairs, table, notes)


def _supervisely_region(
    entry: Mapping[str, Any], kind: str, source: Path, where: str, height: int, width: int
) -> np.ndarray:
    if kind in ("bitmap", "alpha_mask"):
        stored = entry.get("bitmap") or entry[kind]
        left, top = (
            int(value)
            for value in points_of([stored["origin"]], source, f"{where}.{kind}.origin")[0]
        )
        part = _supervisely_bitmap(stored["data"], source, where)
        return placed(part, left, top, height, width)
    rings = [entry["points"]["exterior"], *(entry["points"].get("interior") or [])]
    points = [np.rint(points_of(ring, source, f"{where}.points")) for ring in rings]
    if kind == "rectangle":
        corners = points[0]
        points = [
            np.array(
                [
                    [x, y]
                    for x, y in (
                        corners[0],
                        (corners[1][0], corners[0][1]),
                        corners[1],
                        (corners[0][0], corners[1][1]),
                    )
                ]
            )
        ]
    region = filled(points[:1], height, width, source, where)
    for hole in points[1:]:  # one by one: holes may overlap
        region &= ~filled([hole], height, width, source, where)
    return region


def _supervisely_bitmap(data: str, source: Path, where: str) -> np.ndarray:
    try:
        packed = base64.b64decode(data, validate=True)
        with contextlib.suppress(zlib.error):  # older projects hold the PNG itself
            packed = zlib.decompress(packed)
        with Image.open(io.BytesIO(packed)) as image:
            if "A" in image.getbands():
                return np.asarray(image.getchannel("A")) > 0
            if image.mode == "P" and "transparency" in image.info:
                return np.asarray(image.convert("RGBA").getchannel("A")) > 0
            values = np.asarray(image)
    except (binascii.Error, OSError, SyntaxError, TypeError, ValueError) as error:
        text = f"{where}: expected a PNG, packed by zlib, in base64. Found: {error}"
        raise FileError("unreadable", source, text) from error
    return np.asarray(values.any(axis=-1) if values.ndim == 3 else values > 0)


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
                    size = size or _size(
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


def read_darwin(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Darwin JSON 2.0 and 1.0 of V7: polygons with holes, and masks in a raster layer."""
    files = sniffed(
        listing,
        lambda content: (
            isinstance(content, dict)
            and isinstance(content.get("annotations"), list)
            and (
                "slots" in (content.get("item") or {})
                or ("dataset" in content and "image" in content)
            )
        ),
    )
    images: dict[str, list[AnnotatedImage]] = {}
    for file in files:
        path = listing.path(file)
        with reporting(problems, path, "item"):
            content = read_json(path)
            if "item" in content:
                slot = content["item"]["slots"][0]
                names = [content["item"]["name"]]
                names += [entry["file_name"] for entry in slot.get("source_files") or []]
                folder = str(content["item"].get("path") or "/").strip("/")
            else:
                slot = content["image"]
                names = [slot["filename"], slot.get("original_filename") or slot["filename"]]
                folder = str(slot.get("path") or "/").strip("/")
            image = None
            for name in dict.fromkeys(
                f"{f}{n}" for n in names for f in (f"images/{folder}/", f"{folder}/", "")
            ):
                name = name.replace("//", "/").lstrip("/")
                if name in listing:
                    image = listing.path(name)
                    break
            image = image or listing.image(names[0], path)
            size = _size(slot["height"], slot["width"], path, "size")
            shapes = list(_darwin_shapes(content["annotations"], size, path, problems))
            stem = f"{folder}/{Path(names[0]).stem}".lstrip("/")
            images.setdefault(split_in(file), []).append(
                AnnotatedImage(flat_name(stem), image, path, shapes, size)
            )
    if not files:
        return None
    pairs, table = painted(images, (), options, problems)
    return Recognised("Darwin JSON (V7)", f"{len(files)} JSON files", pairs, table)


def _darwin_shapes(annotations, size: tuple[int, int], source: Path, problems: Problems):
    labels = {entry.get("id"): entry.get("name") for entry in annotations if "mask" in entry}
    for number, entry in enumerate(annotations):
        where = f"annotations[{number}]"
        with reporting(problems, source, where):
            if "raster_layer" in entry:
                layer = entry["raster_layer"]
                dense = validated(_COUNTS, layer["dense_rle"], source, f"{where}.dense_rle")
                values, lengths = dense[::2], dense[1::2]
                if len(values) != len(lengths):
                    text = f"{where}.dense_rle: expected pairs. Found: {len(dense)} numbers"
                    raise FileError("unreadable", source, text)
                check_sum(lengths, size[0] * size[1], source, f"{where}.dense_rle")
                mapping = layer.get("mask_annotation_ids_mapping") or layer["mask_mappings"]
                for key, value in mapping.items():
                    region = functools.partial(_layer_region, values, lengths, value)
                    yield Shape(str(labels[key]), where, region)
            elif polygon := entry.get("polygon") or entry.get("complex_polygon"):
                if "paths" in polygon:
                    paths = polygon["paths"]
                else:  # of 1.0; `path` may be a list of paths there
                    path = polygon["path"]
                    paths = path if path and isinstance(path[0], list) else [path]
                    paths = paths + (polygon.get("additional_paths") or [])
                rings = rings_of(paths, source, where)
                yield Shape(
                    str(entry["name"]),
                    where,
                    functools.partial(_darwin_polygon, rings, source, where),
                )


def _layer_region(values, lengths, value: int, height: int, width: int) -> np.ndarray:
    chosen = np.array(values) == value
    return np.repeat(chosen, lengths).reshape(height, width)


def _darwin_polygon(
    rings: list[np.ndarray], source: Path, where: str, height: int, width: int
) -> np.ndarray:
    # As darwin-py does: rounded, and kept inside the image.
    whole = [np.clip(np.rint(ring), 0, [width - 1, height - 1]) for ring in rings]
    return filled(whole, height, width, source, where)


def read_hasty(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Hasty's JSON 1.1: polygons, and masks as run lengths inside their boxes."""
    files = sniffed(
        listing,
        lambda content: (
            isinstance(content, dict)
            and isinstance(content.get("label_classes"), list)
            and isinstance(content.get("images"), list)
        ),
    )
    images: dict[str, list[AnnotatedImage]] = {}
    declared: list[str] = []
    boxes = 0
    for file in files:
        path = listing.path(file)
        content = read_json(path)
        classes = sorted(content["label_classes"], key=lambda entry: entry.get("norder") or 0)
        declared += [str(entry["class_name"]) for entry in classes]
        for number, entry in enumerate(content["images"]):
            where = f"images[{number}]"
            with reporting(problems, path, where):
                name, folder = str(entry["image_name"]), str(entry.get("dataset_name") or "")
                inside = next(
                    (f for f in (f"{folder}/{name}", f"images/{folder}/{name}") if f in listing),
                    None,
                )
                image = listing.path(inside) if inside else listing.image(name, path)
                labels = sorted(entry["labels"], key=lambda label: label.get("z_index") or 0)
                shapes = []
                for place, label in enumerate(labels):
                    if not label.get("polygon") and not label.get("mask"):
                        boxes += 1
                        continue
                    at = f"{where}.labels[{place}]"
                    region = functools.partial(_hasty_region, label, path, at)
                    shapes.append(Shape(str(label["class_name"]), at, region))
                images.setdefault(split_of(folder), []).append(
                    AnnotatedImage(
                        flat_name(Path(f"{folder}/{name}").with_suffix("").as_posix()),
                        image,
                        path,
                        shapes,
                        _size(entry["height"], entry["width"], path, where),
                    )
                )
    if not files:
        return None
    pairs, table = painted(images, declared, options, problems)
    notes = (f"{boxes} labels have a box only and are left out",) if boxes else ()
    return Recognised("Hasty JSON", ", ".join(files[:4]), pairs, table, notes)


def _hasty_region(
    label: Mapping[str, Any], source: Path, where: str, height: int, width: int
) -> np.ndarray:
    if label.get("mask"):
        x0, y0, x1, y1 = (int(v) for v in validated(_NUMBERS, label["bbox"], source, where))
        counts = validated(_COUNTS, label["mask"], source, f"{where}.mask")
        # The box's end is outside of it; some exports count it in.
        more = 0 if sum(counts) == (y1 - y0) * (x1 - x0) else 1
        part = runs(counts, y1 - y0 + more, x1 - x0 + more, source, f"{where}.mask")
        return placed(part, x0, y0, height, width)
    polygon = label["polygon"]
    nested = (
        bool(polygon)
        and isinstance(polygon[0], list)
        and bool(polygon[0])
        and (isinstance(polygon[0][0], list))
    )
    rings = [
        points_of(ring, source, f"{where}.polygon") for ring in (polygon if nested else [polygon])
    ]
    region = np.zeros((height, width), bool)
    for ring in rings:  # rings inside rings are holes
        region ^= coco_polygons([ring], height, width, source, where)
    return region
