"""Supervisely, Darwin (V7) and Hasty: each tool's JSON, painted as the tool does."""

import base64
import binascii
import contextlib
import functools
import io
import re
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
    check_sum,
    read_json,
    validated,
)
from keras_ctxseg.data_tools.prepare.drawing import (
    coco_polygons,
    filled,
    placed,
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
    rings_of,
    sniffed,
    split_in,
    stated_size,
)
from keras_ctxseg.data_tools.prepare.pairing import flat_name

_COUNTS = TypeAdapter(list[Count])


_NUMBERS = TypeAdapter(list[Number])


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
            tags = [str(tag.get("name", "")) for tag in annotation.get("tags") or []]
            tagged = next(filter(None, map(split_of, tags)), "")
            images.setdefault(tagged or split_in(file), []).append(
                AnnotatedImage(
                    key,
                    image,
                    path,
                    shapes,
                    stated_size(size["height"], size["width"], path, "size"),
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


_DARWIN_AREAS = ("polygon", "complex_polygon", "mask", "raster_layer")


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
    others = 0
    for file in files:
        path = listing.path(file)
        with reporting(problems, path, "item"):
            content = read_json(path)
            others += sum(
                not any(key in entry for key in _DARWIN_AREAS) for entry in content["annotations"]
            )
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
            size = stated_size(slot["height"], slot["width"], path, "size")
            shapes = list(_darwin_shapes(content["annotations"], size, path, problems))
            stem = f"{folder}/{Path(names[0]).stem}".lstrip("/")
            images.setdefault(split_in(file), []).append(
                AnnotatedImage(flat_name(stem), image, path, shapes, size)
            )
    if not files:
        return None
    pairs, table = painted(images, (), options, problems)
    notes = (f"{others} annotations that are no polygon or mask are left out",) if others else ()
    return Recognised("Darwin JSON (V7)", f"{len(files)} JSON files", pairs, table, notes)


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
                        stated_size(entry["height"], entry["width"], path, where),
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
