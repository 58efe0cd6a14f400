"""COCO's JSON files to masks.

Objects are drawn from the largest to the smallest, so that what lies on top of something is seen;
those of files by CVAT or Datumaro in the order of the file, which is CVAT's `z_order`.
"""

import functools
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    Problems,
    check_polygons,
    check_rle,
    read_json,
    validated,
)
from keras_ctxseg.data_tools.prepare.class_list import BACKGROUND, ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.pairing import (
    Exif,
    FileFinder,
    Pair,
    check_choice,
    flat_name,
    given_splits,
    normal,
)
from keras_ctxseg.data_tools.prepare.splitting import Splitting
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_pairs
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

Crowd = Literal["void", "class", "skip"]
CROWD_CHOICES = ("void", "class", "skip")

_SCHEMAS: dict[str, TypeAdapter] = {
    "images": TypeAdapter(CocoImage),
    "categories": TypeAdapter(CocoCategory),
    "annotations": TypeAdapter(CocoAnnotation),
}


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
            `"class"`, or not drawn (`"skip"`). Masks that CVAT or Datumaro wrote are no crowds.
        splitting, splits, exif: as in `prepare_masks`.
        skip_errors: leave out single objects and images with a problem; `skipped` names them.

    Raises:
        ValueError: whatever is wrong with the files, by name; nothing is written then.
    """
    files = {
        split: (Path(folder).expanduser(), Path(file).expanduser())
        for split, (file, folder) in given_splits(splits, annotations, images).items()
    }
    problems = Problems()
    pairs, table = coco_pairs(files, classes, outside, crowd, problems)
    return write_pairs(output, pairs, table.class_file(), splitting, exif, skip_errors, problems)


def coco_pairs(
    files: Mapping[str, tuple[Path, Path]],
    classes: str | None,
    outside: str,
    crowd: Crowd,
    problems: Problems,
) -> tuple[dict[str, list[Pair]], ClassList]:
    """The pairs of each split, from its folder of images and its JSON file, and their classes.

    Args:
        files: by split, the folder of the images and the JSON file.
        classes, outside, crowd: as in `prepare_coco`.
        problems: receives what is wrong with single images and objects.

    Raises:
        ValueError: a file that is not COCO's, or an unknown class.
    """
    check_choice("crowd", crowd, CROWD_CHOICES)
    contents = {split: _read(file, problems) for split, (_, file) in files.items()}
    categories = {category["id"]: category["name"] for content in contents.values()
                  for category in content["categories"]}  # fmt: skip
    # Roboflow lists a category that only holds the others.
    used = {entry["category_id"] for content in contents.values() for entry in
            content["annotations"]}  # fmt: skip
    groups = {category.get("supercategory") for content in contents.values()
              for category in content["categories"]}  # fmt: skip
    tops = {category["id"] for content in contents.values() for category in content["categories"]
            if category.get("supercategory") in (None, "", "none")}  # fmt: skip
    names = [
        categories[key]
        for key in sorted(categories, key=lambda key: (str(type(key)), key))
        if key in used or categories[key] not in groups or key not in tops
    ]
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
        split: _pairs(*files[split], content, table, crowd, problems)
        for split, content in contents.items()
    }
    everything = [entry for content in contents.values() for entry in content["annotations"]]
    if not problems and everything and not any(entry.get("segmentation") for entry in everything):
        text = f"annotation {everything[0].get('id')}: expected polygons or RLE as `segmentation`. "
        text += f"Found: none in {len(everything)} annotations (boxes or keypoints only?)"
        raise FileError("unreadable", next(iter(files.values()))[1], text)
    return pairs, table


def draw_objects(
    objects: Sequence[tuple[int, dict[str, Any]]],
    height: int,
    width: int,
    outside: int,
    source: Path,
    crowd: Crowd = "void",
    problems: Problems | None = None,
    in_order: bool = False,
) -> np.ndarray:
    """The mask of one image: uint8 `(height, width)`.

    Args:
        objects: class ids and annotations.
        height, width: of the image.
        outside: the id of pixels without an object.
        source: the file that errors name.
        crowd: as in `prepare_coco`.
        problems: receives what is wrong with single objects, which are left out then.
        in_order: draw them as they come, rather than the largest first.

    Raises:
        FileError: without `problems`, a segmentation that is neither polygons nor RLE, or of
            another size.
    """
    from pycocotools import mask as coco_mask

    drawn = []
    for index, annotation in objects:
        is_crowd = _is_crowd(annotation)
        if is_crowd and crowd == "skip":
            continue
        try:
            encoded = encode_region(
                annotation.get("segmentation"), height, width, source,
                f"annotation {annotation.get('id')}",
            )  # fmt: skip
        except FileError as error:
            if problems is None:
                raise
            problems.report(error)
            continue
        if encoded is not None:
            value = IGNORE_LABEL if is_crowd and crowd == "void" else index
            area = 0 if in_order else int(coco_mask.area(encoded))
            drawn.append((not is_crowd, -area, value, encoded))
    mask = np.full((height, width), outside, np.uint8)
    for _, _, value, encoded in sorted(drawn, key=lambda item: item[:2]):
        mask[coco_mask.decode(encoded).astype(bool)] = value
    return mask


def _crowds_are_masks(content: dict[str, Any]) -> bool:
    """Whether CVAT or Datumaro wrote a file: they set `iscrowd` on each single mask.

    Their files have an `info` without any content.
    """
    info = content.get("info")
    return isinstance(info, dict) and bool(info) and not any(info.values())


def _is_crowd(annotation: dict[str, Any]) -> bool:
    """Whether an annotation is a crowd; with CVAT's `attributes` only where these say so."""
    attributes = annotation.get("attributes")  # which COCO's own files do not have
    if isinstance(attributes, dict):
        return attributes.get("is_crowd") is True
    return bool(annotation.get("iscrowd"))


def encode_region(
    segmentation: Any, height: int, width: int, source: Path, where: str
) -> dict[str, Any] | None:
    """A validated `segmentation` as pycocotools' compressed RLE; None where it has no area.

    Raises:
        FileError: neither polygons nor RLE of the image's size.
    """
    from pycocotools import mask as coco_mask

    if isinstance(segmentation, list) and segmentation:
        polygons = check_polygons(segmentation, height, width, source, where)
        if not polygons:
            return None
        return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    if not isinstance(segmentation, dict):
        text = f"{where}: expected polygons or RLE as `segmentation`. Found: {segmentation!r:.60}"
        raise FileError("unreadable", source, text)
    rle = check_rle(segmentation, height, width, source, where)
    if isinstance(rle["counts"], list):
        return coco_mask.frPyObjects(rle, height, width)
    return rle


def _read(path: Path, problems: Problems) -> dict[str, Any]:
    """The valid entries of COCO's lists, and whether their order is that of drawing (`in_order`).

    Entries of `annotations` keep their `segmentation`.
    """
    content = read_json(path)
    if not isinstance(content, dict) or any(not isinstance(content.get(k), list) for k in _SCHEMAS):
        text = f"expected COCO's lists {', '.join(sorted(_SCHEMAS))}. Found: another JSON file"
        raise FileError("unreadable", path, text)
    masks = _crowds_are_masks(content)
    valid: dict[str, Any] = {key: [] for key in _SCHEMAS} | {"in_order": masks}
    for key, schema in _SCHEMAS.items():
        seen: set[Any] = set()
        for number, item in enumerate(content[key]):
            where = f"{key}[{number}]"
            if key == "annotations" and isinstance(item, dict) and "id" in item:
                where = f"annotation {item['id']!r:.40}"
            try:
                entry = validated(schema, item, path, where)
                if key != "annotations" and entry["id"] in seen:
                    text = f"{where}: expected different ids. Found: {entry['id']!r} twice"
                    raise FileError("unreadable", path, text)
            except FileError as error:
                if key == "categories":
                    raise
                problems.report(error)
                continue
            seen.add(entry.get("id"))
            if key == "annotations":
                entry = item | entry | ({"iscrowd": 0} if masks else {})
            valid[key].append(entry)
    return valid


def _pairs(
    folder: Path,
    file: Path,
    content: dict[str, Any],
    table: ClassList,
    crowd: Crowd,
    problems: Problems,
) -> list[Pair]:
    categories = {category["id"]: category["name"] for category in content["categories"]}
    known = {image["id"] for image in content["images"]}
    objects = defaultdict(list)
    for annotation in content["annotations"]:
        unlisted = [
            key
            for key, choices in (("category_id", categories), ("image_id", known))
            if annotation[key] not in choices
        ]
        if unlisted:
            text = f"annotation {annotation.get('id')}: {unlisted[0]} {annotation[unlisted[0]]!r} "
            problems.report(FileError("unreadable", file, text + "is not listed"))
            continue
        name = categories[annotation["category_id"]]
        if table.knows(name):
            objects[annotation["image_id"]].append((table.id_of(name, file), annotation))
    pairs = []
    finder = FileFinder(folder)
    for image in content["images"]:
        path = finder.find(image["file_name"])
        if path is None:
            text = f"images: expected the file {image['file_name']!r:.200} in {folder}. Found: none"
            problems.report(FileError("missing_image", file, text))
            continue
        size = image["height"], image["width"]
        mask = functools.partial(
            draw_objects, objects[image["id"]], *size, table.outside, file, crowd, problems,
            bool(content["in_order"]),
        )  # fmt: skip
        name = flat_name(str(PurePosixPath(normal(image["file_name"])).with_suffix("")))
        pairs.append(Pair(name, path, path, mask, size, file))
    return pairs
