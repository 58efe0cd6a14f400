"""YOLO's text files and Kaggle's run lengths in a CSV."""

import csv
import functools
import re
from pathlib import Path

import numpy as np
import yaml

from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Problems,
)
from keras_ctxseg.data_tools.prepare.drawing import (
    filled,
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
    text_of,
)
from keras_ctxseg.data_tools.prepare.pairing import flat_name


def read_yolo(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Ultralytics' YOLO segmentation: `data.yaml`, and a text file of polygons for each image.

    The smaller object lies on top, as in Ultralytics' own masks.
    """
    names: list[str] = []
    evidence = ""
    for file in listing.like("*.yaml", "*.yml"):
        try:
            content = yaml.safe_load(text_of(listing.path(file)))
        except (yaml.YAMLError, ValueError) as error:
            raise FileError("unreadable", listing.path(file), f"expected YAML: {error}") from error
        if isinstance(content, dict) and isinstance(content.get("names"), (list, dict)):
            stated = content["names"]
            keys = range(len(stated)) if isinstance(stated, list) else sorted(stated)
            names, evidence = [str(stated[key]) for key in keys], file
            break
    if not names and "classes.txt" in listing and listing.like("labels/*.txt"):
        stated_names = text_of(listing.path("classes.txt")).splitlines()
        names, evidence = [name.strip() for name in stated_names if name.strip()], "classes.txt"
    places = [file for file in listing.pictures if "images/" in file]
    if not names or not places or not listing.like("*labels/*.txt"):
        return None
    images: dict[str, list[AnnotatedImage]] = {}
    for file in places:
        head, _, tail = file.rpartition("images/")
        label = f"{head}labels/{tail.rsplit('.', 1)[0]}.txt"
        image, path = listing.path(file), listing.path(label)
        shapes: list[Shape] = []
        lines: list[str] = []
        if label in listing:
            with reporting(problems, path, "file"):
                lines = text_of(path).splitlines()
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
                    image, encoded = row[places[0]].strip(), row[places[1]].strip()
                    label = row[places[2]].strip() if places[2] is not None else "foreground"
                    if joined:
                        image, _, label = image.rpartition("_")
                    label = f"class_{label}" if label.isdecimal() else label
                    some = shapes.setdefault(image, [])
                    if encoded.lower() not in ("", "-1", "nan", "1 0"):
                        region = functools.partial(
                            _kaggle_region, encoded, by_rows, path, f"line {number}"
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
