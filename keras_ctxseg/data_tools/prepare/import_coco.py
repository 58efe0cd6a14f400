"""COCO's and LabelMe's JSON files, found in a folder."""

import functools
from collections import defaultdict
from pathlib import Path

from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Problems,
    read_json,
)
from keras_ctxseg.data_tools.prepare.class_list import ClassList
from keras_ctxseg.data_tools.prepare.coco import coco_pairs
from keras_ctxseg.data_tools.prepare.import_base import (
    ImportOptions,
    Listing,
    Recognised,
    first_look,
    reporting,
    settle_splits,
    sniffed,
    split_in,
    split_in_name,
)
from keras_ctxseg.data_tools.prepare.labelme import labelme_pairs
from keras_ctxseg.data_tools.prepare.mask_code import MaskCode
from keras_ctxseg.data_tools.prepare.pairing import FileFinder, Pair, flat_name
from keras_ctxseg.labels.panoptic import IGNORE_LABEL


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
            split = split_in_name(file) or split_in(file)
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
    annotations = first_look(listing.path(file))["annotations"]
    return (
        bool(annotations)
        and isinstance(annotations[0], dict)
        and ("segments_info" in annotations[0])
    )


def _image_folder(listing: Listing, file: str, options: ImportOptions) -> Path:
    """Where the images of a COCO file are: the first place that has the first of them."""
    path = listing.path(file)
    suffix = Path(file).stem.split("_")[-1]
    split = split_in_name(file) or split_in(file)
    names = [
        image.get("file_name") for image in first_look(path)["images"] if isinstance(image, dict)
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
        split = split_in_name(file) or split_in(file)
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
