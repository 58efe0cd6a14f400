"""CVAT's XML, and the LabelMe web tool's."""

import functools
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Point,
    Problems,
    validated,
)
from keras_ctxseg.data_tools.prepare.drawing import (
    coco_polygons,
    ellipse,
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
    points_of,
    reporting,
    split_in,
    split_in_name,
)
from keras_ctxseg.data_tools.prepare.mask_code import raw_values
from keras_ctxseg.data_tools.prepare.pairing import flat_name


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
                split = split_of(subset) or split_in_name(file)
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


def _root_of(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise FileError("unreadable", path, f"expected XML. Found: {error}") from error
