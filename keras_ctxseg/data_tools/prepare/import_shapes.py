"""COCO, LabelMe, CVAT, YOLO, Kaggle and GeoJSON: shapes in files, found in a folder."""

import csv
import functools
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import TypeAdapter

from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Point,
    Problems,
    read_json,
    validated,
)
from keras_ctxseg.data_tools.prepare.class_list import ClassList
from keras_ctxseg.data_tools.prepare.coco import coco_pairs
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
    MaskCode,
    Recognised,
    Shape,
    painted,
    raw_values,
    reporting,
    settle_splits,
    split_in,
)
from keras_ctxseg.data_tools.prepare.labelme import labelme_pairs
from keras_ctxseg.data_tools.prepare.pairing import FileFinder, Pair, flat_name
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_POINTS: TypeAdapter = TypeAdapter(list[Point])


def sniffed(listing: Listing, test: Callable[[Any], bool]) -> list[str]:
    """The JSON files of folders whose first files pass a test."""
    folders: dict[str, list[str]] = defaultdict(list)
    for file in listing.like("*.json"):
        folders[file.rpartition("/")[0]].append(file)
    found = []
    for files in folders.values():
        for file in files[:8] if len(files) > 8 else files:
            try:
                passed = test(_first_look(listing.path(file)))
            except FileError:
                continue
            if passed:
                # Many files: one for each image. Few: each for itself.
                found += files if len(files) > 8 else [file]
                if len(files) > 8:
                    break
    return found


@functools.lru_cache(maxsize=64)
def _first_look(path: Path) -> Any:
    return read_json(path)


def points_of(value: Any, source: Path, where: str) -> np.ndarray:
    """Pairs of finite numbers as float64 `(points, 2)`. Raises `FileError`."""
    return np.array(validated(_POINTS, value, source, where), np.float64).reshape(-1, 2)


def read_coco(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """COCO's instances or stuff, as COCO, CVAT, Roboflow, Label Studio and others write them."""
    keys = ("images", "annotations", "categories")
    files = sniffed(
        listing,
        lambda content: (
            isinstance(content, dict) and all(isinstance(content.get(key), list) for key in keys)
        ),
    )
    for word in ("instances", "stuff", "", "panoptic"):
        chosen = [
            file
            for file in files
            if word in Path(file).name and (word == "panoptic" or not _is_panoptic(listing, file))
        ]
        if word == "":
            skipped = ("keypoints", "captions", "image_info", "labels_", "createml")
            chosen = [f for f in chosen if not any(part in Path(f).name for part in skipped)]
        if not chosen:
            continue
        if word == "panoptic":
            return _read_panoptic(listing, chosen, options, problems)
        by_split: dict[str, tuple[Path, Path]] = {}
        for number, file in enumerate(chosen):
            split = split_of(Path(file).stem.split("_")[-1]) or split_in(file)
            place = f"{split} {number}"
            by_split[place] = (_image_folder(listing, file, options), listing.path(file))
        pairs, table = coco_pairs(by_split, options.classes, options.outside, "void", problems)
        merged: dict[str, list[Pair]] = defaultdict(list)
        for place, some in pairs.items():
            merged[place.split(" ")[0]] += some
        splits = settle_splits(merged)
        return Recognised("COCO", ", ".join(chosen[:4]), splits, table.class_file())
    return None


def _is_panoptic(listing: Listing, file: str) -> bool:
    annotations = _first_look(listing.path(file))["annotations"]
    return (
        bool(annotations)
        and isinstance(annotations[0], dict)
        and ("segments_info" in annotations[0])
    )


def _image_folder(listing: Listing, file: str, options: ImportOptions) -> Path:
    """Where the images of a COCO file are: the first place that has the first of them."""
    path = listing.path(file)
    suffix = Path(file).stem.split("_")[-1]
    split = split_of(suffix) or split_in(file)
    names = [
        image.get("file_name") for image in _first_look(path)["images"] if isinstance(image, dict)
    ]
    first = next((name for name in names if isinstance(name, str) and name), "")
    places = [options.images] if options.images else []
    for word in dict.fromkeys(filter(None, (suffix, split))):
        places += [
            listing.root / "images" / word,
            listing.root / word,
            path.parent.parent / "images" / word,
            path.parent.parent / word,
        ]
    places += [path.parent / "images", path.parent, path.parent.parent / "images", listing.root]
    for place in places:
        try:
            if first and (place / first.replace("\\", "/")).is_file():
                return place
        except (OSError, ValueError):
            break
    return options.images or listing.root


def _read_panoptic(
    listing: Listing, files: list[str], options: ImportOptions, problems: Problems
) -> Recognised:
    names: dict[int, str] = {}
    found: dict[str, list[tuple[Path, Path, dict[int, int]]]] = defaultdict(list)
    for file in files:
        path = listing.path(file)
        content = read_json(path)
        names |= {entry["id"]: entry["name"] for entry in content["categories"]}
        images = {entry["id"]: entry["file_name"] for entry in content["images"]}
        split = split_of(Path(file).stem.split("_")[-1]) or split_in(file)
        photos = FileFinder(_image_folder(listing, file, options))
        for number, annotation in enumerate(content["annotations"]):
            with reporting(problems, path, f"annotations[{number}]"):
                segments = {
                    segment["id"]: -1 if segment.get("iscrowd") else segment["category_id"]
                    for segment in annotation["segments_info"]
                }
                stated = images.get(annotation["image_id"]) or (
                    Path(annotation["file_name"]).with_suffix(".jpg").name
                )
                folder = Path(file).with_suffix("").as_posix()
                mask = listing.path(f"{folder}/{annotation['file_name']}")
                if not mask.is_file():
                    mask = listing.image(annotation["file_name"], path)
                image = photos.find(stated) or listing.image(stated, path)
                found[split].append((mask, image, segments))
    order = {key: index for index, key in enumerate(sorted(names))}
    pairs: dict[str, list[Pair]] = {}
    for split, some in found.items():
        for mask, image, segments in some:
            ids = {
                segment: order.get(category, IGNORE_LABEL) for segment, category in segments.items()
            }
            code = MaskCode({}, {0: IGNORE_LABEL, **{_swapped(k): v for k, v in ids.items()}})
            pairs.setdefault(split, []).append(
                Pair(flat_name(image.stem), image, image, functools.partial(code.read, mask))
            )
    table = ClassList(tuple(names[key] for key in sorted(names)), IGNORE_LABEL)
    notes = ("crowds and pixels without a segment are void",)
    return Recognised(
        "COCO panoptic", ", ".join(files[:4]), settle_splits(pairs), table.class_file(), notes
    )


def _swapped(segment: int) -> int:
    """A segment's id, red + 256 green + 65536 blue, as packed RGB."""
    return (segment & 255) << 16 | (segment >> 8 & 255) << 8 | segment >> 16


def read_labelme(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """LabelMe's JSON files, one for each image."""
    files = sniffed(
        listing,
        lambda content: (
            isinstance(content, dict)
            and isinstance(content.get("shapes"), list)
            and "imagePath" in content
        ),
    )
    if not files:
        return None
    tops = {file.split("/")[0] for file in files if "/" in file}
    splits = {split_of(top): listing.path(top) for top in tops if split_of(top)}
    if len(splits) < 2 or any("/" not in file for file in files):
        splits = {"": listing.root}
    pairs, table = labelme_pairs(
        splits,
        options.images or listing.root,
        options.classes,
        options.outside,
        options.line_width,
        problems,
    )
    return Recognised(
        "LabelMe", f"{len(files)} JSON files with shapes", settle_splits(pairs), table.class_file()
    )


def _root_of(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise FileError("unreadable", path, f"expected XML. Found: {error}") from error


def read_labelme_xml(
    listing: Listing, options: ImportOptions, problems: Problems
) -> Recognised | None:
    """The LabelMe web tool's XML files, which CVAT writes too ("LabelMe 3.0")."""
    images: dict[str, list[AnnotatedImage]] = {}
    files = listing.like("*.xml")
    for file in files:
        path = listing.path(file)
        root = _root_of(path)
        if root.tag != "annotation" or root.find("object") is None:
            continue
        if root.find("object/polygon") is None and root.find("object/segm") is None:
            continue
        with reporting(problems, path, "annotation"):
            name = root.findtext("filename", "").strip()
            folder = (root.findtext("folder") or "").strip().strip("/")
            image = listing.image(f"Images/{folder}/{name}" if folder else name, path)
            shapes = []
            for number, entry in enumerate(root.findall("object")):
                if entry.findtext("deleted") == "1":
                    continue
                label = (entry.findtext("name") or "").strip()
                region = functools.partial(_labelme_region, listing, entry, folder, path, number)
                shapes.append(Shape(label, f"object {number}", region))
            size = root.find("imagesize")
            stated = None
            if size is not None and size.findtext("nrows"):
                stated = int(size.findtext("nrows") or 0), int(size.findtext("ncols") or 0)
            images.setdefault(split_in(file), []).append(
                AnnotatedImage(
                    flat_name(Path(f"{folder}/{name}").with_suffix("").as_posix()),
                    image,
                    path,
                    shapes,
                    stated,
                )
            )
    if not images:
        return None
    pairs, table = painted(images, (), options, problems)
    return Recognised("LabelMe 3.0 (XML)", f"{len(files)} XML files", pairs, table)


def _labelme_region(
    listing: Listing,
    entry: ElementTree.Element,
    folder: str,
    source: Path,
    number: int,
    height: int,
    width: int,
) -> np.ndarray:
    where = f"object {number}"
    if (polygon := entry.find("polygon")) is not None:
        points = [
            [float(pt.findtext("x") or "nan"), float(pt.findtext("y") or "nan")]
            for pt in polygon.findall("pt")
        ]
        points_of(points, source, where)
        return coco_polygons([np.array(points)], height, width, source, where)
    name = entry.findtext("segm/mask") or ""
    mask = listing.path(f"Masks/{folder}/{name}")
    values, _ = raw_values(mask if mask.is_file() else listing.image(name, source), {-1: 0})
    if values.shape != (height, width):
        text = f"{where}: expected a mask of {height}x{width}. Found: {values.shape}"
        raise FileError("size_mismatch", source, text)
    return values > 0


def read_cvat(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """CVAT's XML, "CVAT for images 1.1" and "for video 1.1": masks, polygons, boxes, ellipses.

    Shapes are painted by their `z_order`, as CVAT's own mask export does.
    """
    images: dict[str, list[AnnotatedImage]] = {}
    declared: list[str] = []
    left_out: dict[str, int] = defaultdict(int)
    files = []
    for file in listing.like("*.xml"):
        path = listing.path(file)
        root = _root_of(path)
        if root.tag != "annotations" or (root.find("image") is None and root.find("track") is None):
            continue
        files.append(file)
        declared += [label.text or "" for label in root.iterfind(".//meta//labels/label/name")]
        tracks: dict[int, list[tuple[ElementTree.Element, str]]] = defaultdict(list)
        for track in root.iterfind("track"):
            for entry in track:
                if entry.get("outside") != "1":
                    tracks[int(entry.get("frame", "-1"))].append((entry, track.get("label", "")))
        frames: list[tuple[str, str, ElementTree.Element | None, list]] = [
            (
                image.get("name", ""),
                image.get("subset", ""),
                image,
                [(entry, entry.get("label", "")) for entry in image],
            )
            for image in root.iterfind("image")
        ]
        frames += [(f"frame_{number:06d}", "", None, some) for number, some in tracks.items()]
        for name, subset, element, entries in frames:
            with reporting(problems, path, f"image {name!r}"):
                size = None
                if element is not None:
                    size = int(element.get("height", "0")), int(element.get("width", "0"))
                image = _cvat_image(listing, name, subset, path)
                shapes = []
                ordered = sorted(entries, key=lambda item: int(item[0].get("z_order", "0")))
                for number, (entry, label) in enumerate(ordered):
                    if entry.tag in ("mask", "polygon", "box", "ellipse"):
                        where = f"image {name!r}, {entry.tag} {number}"
                        region = functools.partial(_cvat_region, entry, path, where)
                        shapes.append(Shape(label, where, region))
                    else:
                        left_out[entry.tag] += 1
                key = flat_name(f"{subset}/{name}" if subset else name)
                split = split_of(subset) or split_of(Path(file).stem)
                stem = key.rsplit(".", 1)[0] if element is not None else key
                images.setdefault(split, []).append(AnnotatedImage(stem, image, path, shapes, size))
    if not files:
        return None
    pairs, table = painted(images, declared, options, problems)
    notes = tuple(
        f"{count} shapes of the kind {kind} have no area and are left out"
        for kind, count in left_out.items()
        if kind != "tag"
    )
    return Recognised("CVAT for images or video 1.1", ", ".join(files), pairs, table, notes)


def _cvat_image(listing: Listing, name: str, subset: str, source: Path) -> Path:
    for stated in (f"images/{subset}/{name}", f"images/{name}", name):
        stated = stated.replace("//", "/")
        if stated in listing:
            return listing.path(stated)
        if found := listing.picture(stated):
            return found
    return listing.image(name, source)


def _cvat_region(
    entry: ElementTree.Element, source: Path, where: str, height: int, width: int
) -> np.ndarray:
    def number(key: str) -> float:
        value = float(entry.get(key) or "nan")
        return validated(TypeAdapter(Point), [value, 0.0], source, f"{where}.{key}")[0]

    if entry.tag == "mask":
        counts = [int(count) for count in (entry.get("rle") or "").replace(",", " ").split()]
        left, top, columns, rows = (int(number(k)) for k in ("left", "top", "width", "height"))
        if not (0 < rows <= height and 0 < columns <= width):
            text = f"{where}: expected a mask within {height}x{width}. Found: {rows}x{columns}"
            raise FileError("unreadable", source, text)
        return placed(runs(counts, rows, columns, source, where), left, top, height, width)
    if entry.tag == "polygon":
        rows_of_text = (entry.get("points") or "").split(";")
        points = [[float(value) for value in pair.split(",")] for pair in rows_of_text]
        return coco_polygons([points_of(points, source, where)], height, width, source, where)
    angle = float(entry.get("rotation") or 0)
    if entry.tag == "ellipse":
        center, radii = (number("cx"), number("cy")), (number("rx"), number("ry"))
        return ellipse(center, radii, angle, height, width, source, where)
    x0, y0, x1, y1 = (number(key) for key in ("xtl", "ytl", "xbr", "ybr"))
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    box = rotated_box(corners, angle, ((x0 + x1) / 2, (y0 + y1) / 2))
    return coco_polygons([box], height, width, source, where)


def read_yolo(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Ultralytics' YOLO segmentation: `data.yaml`, and a text file of polygons for each image.

    The smaller object lies on top, as in Ultralytics' own masks.
    """
    names: list[str] = []
    evidence = ""
    for file in listing.like("*.yaml", "*.yml"):
        try:
            content = yaml.safe_load(listing.path(file).read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, ValueError) as error:
            raise FileError("unreadable", listing.path(file), f"expected YAML: {error}") from error
        if isinstance(content, dict) and isinstance(content.get("names"), (list, dict)):
            stated = content["names"]
            keys = range(len(stated)) if isinstance(stated, list) else sorted(stated)
            names, evidence = [str(stated[key]) for key in keys], file
            break
    if not names and "classes.txt" in listing and listing.like("labels/*.txt"):
        lines = listing.path("classes.txt").read_text(encoding="utf-8-sig").splitlines()
        names, evidence = [line.strip() for line in lines if line.strip()], "classes.txt"
    places = [file for file in listing.pictures if "images/" in file]
    if not names or not places or not listing.like("*labels/*.txt"):
        return None
    images: dict[str, list[AnnotatedImage]] = {}
    for file in places:
        head, _, tail = file.rpartition("images/")
        label = f"{head}labels/{tail.rsplit('.', 1)[0]}.txt"
        image, path = listing.path(file), listing.path(label)
        shapes: list[Shape] = []
        lines = path.read_text(encoding="utf-8-sig").splitlines() if label in listing else []
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words:
                continue
            with reporting(problems, path, f"line {number}"):
                index = int(words[0])
                if not 0 <= index < len(names):
                    text = f"line {number}: expected a class of 0 ... {len(names) - 1}"
                    raise FileError("unknown_ids", path, f"{text}. Found: {words[0]}")
                if len(words) < 7 or len(words) % 2 == 0:
                    text = f"line {number}: expected a class and a polygon, x and y of 3 points "
                    raise FileError(
                        "unreadable",
                        path,
                        f"{text}or more. Found: {len(words) - 1} "
                        "numbers" + (" (a box?)" if len(words) == 5 else ""),
                    )
                values = [float(word) for word in words[1:]]
                points = points_of(
                    list(zip(values[::2], values[1::2], strict=True)), path, f"line {number}"
                )
                region = functools.partial(_scaled, points, path, f"line {number}")
                shapes.append(Shape(names[index], f"line {number}", region))
        images.setdefault(split_in(file), []).append(
            AnnotatedImage(
                flat_name(tail.rsplit(".", 1)[0]), image, path, shapes, largest_first=True
            )
        )
    pairs, table = painted(images, names, options, problems)
    return Recognised("YOLO segmentation", f"{evidence}, labels/*.txt", pairs, table)


def _scaled(points: np.ndarray, source: Path, where: str, height: int, width: int) -> np.ndarray:
    return filled([points * [width, height]], height, width, source, where)


_RLE_COLUMNS = (
    "encodedpixels",
    "rle",
    "rle_mask",
    "mask_rle",
    "encoded_pixels",
    "segmentation",
    "annotation",
    "mask",
)
_ID_COLUMNS = (
    "imageid",
    "image_id",
    "id",
    "image",
    "img",
    "img_id",
    "filename",
    "file_name",
    "image_label",
    "imageid_classid",
    "name",
    "image_name",
)
_CLASS_COLUMNS = ("classid", "class_id", "class", "label", "classname", "class_name", "category")
_BY_ROWS = ("segmentation", "annotation")


def read_kaggle(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Kaggle's run lengths in a CSV: pairs of start, from 1, and length, in a row for each object.

    They run down the columns of the image, as in most competitions, unless the column is called
    `segmentation` or `annotation` (UW-Madison, Sartorius), where they run along rows.
    """
    for file in listing.like("*.csv"):
        path = listing.path(file)
        with path.open(encoding="utf-8-sig", newline="", errors="replace") as text:
            csv.field_size_limit(1 << 30)
            rows = csv.reader(text)
            header = [cell.strip().lower() for cell in next(rows, [])]
            places = [
                next((header.index(name) for name in names if name in header), None)
                for names in (_ID_COLUMNS, _RLE_COLUMNS, _CLASS_COLUMNS)
            ]
            if places[0] is None or places[1] is None or places[0] == places[1]:
                continue
            by_rows = options.by_rows
            if by_rows is None:
                by_rows = header[places[1]] in _BY_ROWS
            joined = header[places[0]] in ("image_label", "imageid_classid")
            shapes: dict[str, list[Shape]] = {}
            for number, row in enumerate(rows, 2):
                with reporting(problems, path, f"line {number}"):
                    image, text_of = row[places[0]].strip(), row[places[1]].strip()
                    label = row[places[2]].strip() if places[2] is not None else "foreground"
                    if joined:
                        image, _, label = image.rpartition("_")
                    label = f"class_{label}" if label.isdecimal() else label
                    some = shapes.setdefault(image, [])
                    if text_of.lower() not in ("", "-1", "nan", "1 0"):
                        region = functools.partial(
                            _kaggle_region, text_of, by_rows, path, f"line {number}"
                        )
                        some.append(Shape(label, f"line {number}", region))
        images = []
        for name, some in shapes.items():
            with reporting(problems, path, f"image {name}"):
                images.append(
                    AnnotatedImage(
                        flat_name(re.sub(r"\.(jpe?g|png|tiff?|bmp)$", "", name, flags=re.I)),
                        _kaggle_image(listing, name, path),
                        path,
                        some,
                    )
                )
        pairs, table = painted({"": images}, (), options, problems)
        order = "along rows" if by_rows else "down columns"
        notes = (f"run lengths are read {order} (--rle-order rows or columns says otherwise)",)
        return Recognised("Kaggle run lengths", file, pairs, table, notes)
    return None


def _kaggle_image(listing: Listing, name: str, source: Path) -> Path:
    for suffix in ("", ".jpg", ".png", ".jpeg", ".tif", ".tiff", ".bmp"):
        try:
            return listing.image(f"{name}{suffix}", source)
        except FileError:
            continue
    return listing.image(name, source)


def _kaggle_region(
    text: str, by_rows: bool, source: Path, where: str, height: int, width: int
) -> np.ndarray:
    numbers = np.array([int(word) for word in text.split()], np.int64)
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    if (
        len(numbers) % 2
        or starts.min() < 0
        or lengths.min() < 0
        or ((starts + lengths).max() > height * width)
    ):
        text = f"{where}: expected pairs of start and length within the image of {height}x{width}"
        raise FileError("unreadable", source, f"{text}. Found: {text:.40}")
    flat = np.zeros(height * width + 1, np.int64)
    np.add.at(flat, starts, 1)
    np.add.at(flat, starts + lengths, -1)
    region = np.cumsum(flat)[:-1] > 0
    return region.reshape(height, width) if by_rows else region.reshape(width, height).T


_LABEL_PROPERTIES = ("class", "label", "class_name", "classification", "category", "name", "type")


def read_geojson(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Polygons in GeoJSON over GeoTIFFs: a pixel belongs to a polygon that holds its centre.

    A file of an image's own name holds its polygons; files of other names hold those of all images.
    Coordinates are those that the file's `crs` says, else longitude and latitude where they fit,
    else the image's own.
    """
    files = listing.like("*.geojson")
    if not files:
        files = sniffed(
            listing,
            lambda content: (
                isinstance(content, dict) and content.get("type") == "FeatureCollection"
            ),
        )
    rasters = [file for file in listing.pictures if file.lower().endswith((".tif", ".tiff"))]
    rasters = rasters or [file for file in listing.pictures if files]
    if not files or not rasters:
        return None
    try:
        import rasterio  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{listing.path(files[0])}: polygons over GeoTIFFs need rasterio. Install "
            "keras_ctxseg[formats]"
        ) from error
    contents = {file: read_json(listing.path(file)) for file in files}
    stems = {Path(file).stem: file for file in files}
    images: dict[str, list[AnnotatedImage]] = {}
    for raster in rasters:
        own = stems.get(Path(raster).stem)
        chosen = (
            [own]
            if own
            else [f for s, f in stems.items() if not any(Path(r).stem == s for r in rasters)]
        )
        shapes = []
        for file in chosen:
            path = listing.path(file)
            for number, feature in enumerate(contents[file].get("features") or []):
                where = f"features[{number}]"
                with reporting(problems, path, where):
                    label = _geo_label(feature.get("properties") or {})
                    crs = ((contents[file].get("crs") or {}).get("properties") or {}).get("name")
                    region = functools.partial(
                        _geo_region, feature["geometry"], crs, listing.path(raster), path, where
                    )
                    shapes.append(Shape(label, where, region))
        if chosen:
            stem = flat_name(raster.rsplit(".", 1)[0])
            images.setdefault(split_in(raster), []).append(
                AnnotatedImage(stem, listing.path(raster), listing.path(chosen[0]), shapes)
            )
    pairs, table = painted(images, (), options, problems)
    return Recognised("GeoJSON over images", ", ".join(files[:4]), pairs, table)


def _geo_label(properties: Mapping[str, Any]) -> str:
    lower = {key.lower(): value for key, value in properties.items()}
    for key in _LABEL_PROPERTIES:
        value = lower.get(key)
        if isinstance(value, dict):  # QuPath: {"name": ..., "color": ...}
            value = value.get("name")
        if isinstance(value, (str, int)) and str(value):
            return str(value)
    return "object"


def _geo_region(
    geometry: Mapping[str, Any],
    crs: str | None,
    raster: Path,
    source: Path,
    where: str,
    height: int,
    width: int,
) -> np.ndarray:
    import rasterio
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    if geometry.get("type") not in ("Polygon", "MultiPolygon"):
        text = f"{where}: expected a Polygon or a MultiPolygon. Found: {geometry.get('type')!r}"
        raise FileError("unreadable", source, text)
    rings = geometry["coordinates"]
    if geometry["type"] == "MultiPolygon":
        rings = list(itertools.chain.from_iterable(rings))
    points = np.concatenate(
        [points_of([point[:2] for point in ring], source, where) for ring in rings]
    )
    with rasterio.open(raster) as image:
        transform, target = image.transform, image.crs
    if target is not None:
        degrees = np.abs(points).max(axis=0) <= (180, 90)
        origin = crs or ("OGC:CRS84" if degrees.all() else target)
        try:
            geometry = transform_geom(origin, target, json.loads(json.dumps(geometry)))
        except rasterio.errors.RasterioError as error:
            text = f"{where}: expected coordinates of {origin}. Found: {error}"
            raise FileError("unreadable", source, text) from error
    drawn = rasterize([(geometry, 1)], (height, width), transform=transform, dtype="uint8")
    return drawn.astype(bool)


def rings_of(paths: Sequence[Any], source: Path, where: str) -> list[np.ndarray]:
    """Rings of `{"x": ..., "y": ...}` points as arrays."""
    return [
        points_of([[point["x"], point["y"]] for point in path], source, where) for path in paths
    ]
