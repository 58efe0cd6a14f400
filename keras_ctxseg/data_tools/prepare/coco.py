"""COCO's JSON files to masks.

Objects are drawn from the largest to the smallest, so that what lies on top of something is seen.
"""

import functools
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.class_list import BACKGROUND, ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.pairing import Exif, Pair, check_choice, given_splits
from keras_ctxseg.data_tools.prepare.splitting import Splitting
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_pairs
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

Crowd = Literal["void", "class", "skip"]
CROWD_CHOICES = ("void", "class", "skip")


def prepare_coco(
    annotations: str,
    images: str,
    output: str | os.PathLike,
    classes: str | None = None,
    outside: str = BACKGROUND,
    crowd: Crowd = "void",
    splitting: Splitting | None = None,
    splits: Sequence[str] = (),
    exif: Exif = "auto",
    skip_errors: bool = False,
) -> PreparedFolder:
    """Make a data set of annotations in COCO's format: polygons and RLE, plain or compressed.

    Args:
        annotations: the JSON file; with `splits` this and `images` hold `{split}`.
        images: the folder that the file names are relative to.
        output: the new data set's folder.
        classes: names of categories, as in `"car,road"`, or a file with one in a line; others are
            not drawn. Without them all categories are classes, in the order of their ids.
        outside: what pixels without an object are: `"background"`, a class, or `"void"`.
        crowd: what regions with `iscrowd` are, where no object covers them: `"void"`, their
            `"class"`, or not drawn (`"skip"`).
        splitting, splits, exif, skip_errors: as in `prepare_masks`.

    Raises:
        ValueError: whatever is wrong with the files, by name; nothing is written then.
    """
    check_choice("crowd", crowd, CROWD_CHOICES)
    contents = {
        split: (Path(folder).expanduser(), Path(file).expanduser(), _read(Path(file).expanduser()))
        for split, (file, folder) in given_splits(splits, annotations, images).items()
    }
    categories = {category["id"]: str(category["name"]) for *_, content in contents.values()
                  for category in content["categories"]}  # fmt: skip
    names = [categories[key] for key in sorted(categories)]
    if classes:
        chosen = read_class_names(classes)
        for name in chosen:
            if name not in names:
                raise ValueError(
                    f"`classes`: expected names of categories. Received: {name!r}."
                    f"{nearest(name, names)}"
                )
        names = list(chosen)
    table = ClassList.of(names, outside)
    pairs = {
        split: _pairs(folder, file, content, table, crowd)
        for split, (folder, file, content) in contents.items()
    }
    return write_pairs(output, pairs, table.class_file(), splitting, exif, skip_errors)


def draw_objects(
    objects: Sequence[tuple[int, dict[str, Any]]],
    height: int,
    width: int,
    outside: int,
    source: Path,
    crowd: Crowd = "void",
) -> np.ndarray:
    """The mask of one image: uint8 `(height, width)`.

    Args:
        objects: class ids and annotations.
        height, width: of the image.
        outside: the id of pixels without an object.
        source: the file that errors name.
        crowd: as in `prepare_coco`.

    Raises:
        FileError: a segmentation that is neither polygons nor RLE, or of another size.
    """
    drawn = []
    for index, annotation in objects:
        is_crowd = bool(annotation.get("iscrowd"))
        if is_crowd and crowd == "skip":
            continue
        region = _region(annotation, height, width, source)
        value = IGNORE_LABEL if is_crowd and crowd == "void" else index
        drawn.append((not is_crowd, -int(region.sum()), value, region))
    mask = np.full((height, width), outside, np.uint8)
    for _, _, value, region in sorted(drawn, key=lambda item: item[:2]):
        mask[region] = value
    return mask


def _region(annotation: dict[str, Any], height: int, width: int, source: Path) -> np.ndarray:
    from pycocotools import mask as coco_mask

    segmentation: Any = annotation.get("segmentation")
    where = f"annotation {annotation.get('id')}"
    try:
        if isinstance(segmentation, list):
            # Fewer than three points are no area, and four numbers would be taken for a box.
            polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
            if not polygons:
                return np.zeros((height, width), bool)
            encoded = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
        else:
            if tuple(segmentation["size"]) != (height, width):
                text = f"{where}: expected RLE of {height}x{width}. Found: {segmentation['size']}"
                raise FileError("size_mismatch", source, text)
            encoded = segmentation
            if isinstance(segmentation["counts"], list):
                encoded = coco_mask.frPyObjects(segmentation, height, width)
        return coco_mask.decode(encoded).astype(bool)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        text = f"{where}: expected polygons or RLE as `segmentation`. Found: {segmentation!r:.60}"
        raise FileError("unreadable", source, text) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FileError("unreadable", path, f"expected JSON. Found: {error}") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(k), list) for k in keys):
        text = f"expected COCO's lists {', '.join(keys)}. Found: another JSON file"
        raise FileError("unreadable", path, text)
    for key, needed in (("images", ("id", "file_name", "height", "width")),
                        ("categories", ("id", "name"))):  # fmt: skip
        for item in content[key]:
            if not isinstance(item, dict) or any(name not in item for name in needed):
                text = f"expected {', '.join(needed)} of each of `{key}`. Found: {item!r:.80}"
                raise FileError("unreadable", path, text)
    return content


def _pairs(
    folder: Path, file: Path, content: dict[str, Any], table: ClassList, crowd: Crowd
) -> list[Pair]:
    categories = {category["id"]: category["name"] for category in content["categories"]}
    known = {image["id"] for image in content["images"]}
    objects = defaultdict(list)
    for annotation in content["annotations"]:
        for key, choices in (("category_id", categories), ("image_id", known)):
            if annotation.get(key) not in choices:
                value = annotation.get(key)
                text = f"annotation {annotation.get('id')}: {key} {value!r} is not listed"
                raise FileError("unreadable", file, text)
        name = categories[annotation["category_id"]]
        if table.knows(name):
            objects[annotation["image_id"]].append((table.id_of(name, file), annotation))
    pairs = []
    for image in content["images"]:
        path = folder / image["file_name"]
        if not path.is_file() and (folder / Path(image["file_name"]).name).is_file():
            path = folder / Path(image["file_name"]).name
        name = Path(image["file_name"]).with_suffix("").as_posix().strip("./").replace("/", "__")
        mask = functools.partial(
            draw_objects, objects[image["id"]], image["height"], image["width"], table.outside,
            path, crowd,
        )  # fmt: skip
        pairs.append(Pair(name, path, path, mask))
    return pairs
