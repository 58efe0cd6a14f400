"""Folders of images and masks, with or without a table of classes; CamVid is one."""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.class_file import pack_rgb, read_class_file
from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data_tools.prepare.annotation_schema import Problems, read_json
from keras_ctxseg.data_tools.prepare.class_list import ClassList
from keras_ctxseg.data_tools.prepare.color_table import ColorTable
from keras_ctxseg.data_tools.prepare.import_base import (
    ImportOptions,
    Listing,
    Recognised,
    settle_splits,
    split_in,
    text_of,
)
from keras_ctxseg.data_tools.prepare.mask_code import MaskCode, add_pair, raw_values, read_labels
from keras_ctxseg.data_tools.prepare.pairing import Pair
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_IMAGE_FOLDERS = (
    "images",
    "image",
    "imgs",
    "img",
    "rgb",
    "rgbleft",
    "jpegimages",
    "photos",
    "input",
    "inputs",
    "raw",
    "train",
    "val",
    "test",
)


_MASK_FOLDERS = (
    "masks",
    "mask",
    "masks_machine",
    "labels",
    "label",
    "annotations",
    "annotation",
    "gt",
    "gtleft",
    "semseg",
    "ground_truth",
    "groundtruth",
    "segmentation",
    "segmentations",
    "seg",
    "targets",
    "color_labels",
)


_AFFIX = re.compile(
    r"^(gt|mask|label|image|img)_|_(masks?|labels?|gt|L|seg|segmentation|image|img|"
    r"color|rgb)$"
)


def read_folders(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """A folder of images and one of masks, with or without a table of classes beside them."""
    found = _folder_pairs(listing)
    if not found:
        return None
    table, source, code = _class_table(listing, [mask for *_, mask in found])
    pairs: dict[str, list[Pair]] = {}
    for split, name, image, mask in found:
        add_pair(pairs, split, name, mask, code, problems, image)
    folders = sorted({str(mask.parent.relative_to(listing.root)) for *_, mask in found})
    evidence = f"{len(found)} pairs; masks in {', '.join(folders[:3])}"
    notes = (source,) if source else ()
    return Recognised("images and masks", evidence, settle_splits(pairs), table, notes)


def _folder_pairs(listing: Listing) -> list[tuple[str, str, Path, Path]]:
    """Split, name, image and mask of each pair."""
    by_key: dict[tuple[str, str], list[str]] = defaultdict(list)
    masks: list[tuple[tuple[str, str], str]] = []
    for file in listing.pictures:
        parts = file.split("/")
        stem = _AFFIX.sub("", parts[-1].rsplit(".", 1)[0])
        folders = [part.lower() for part in parts[:-1]]
        is_mask = False
        for place, folder in enumerate(folders):
            base = re.sub(r"(annot|_?(masks?|labels?))$", "", folder)
            if folder in _MASK_FOLDERS or (base and base != folder):
                rest = "" if folder in _MASK_FOLDERS else base
                key = "/".join([*folders[:place], rest, *folders[place + 1 :]])
                masks.append(((key.replace("//", "/").strip("/"), stem), file))
                is_mask = True
                break
        if not is_mask:
            # The same key: without the word for images.
            keys = {"/".join(folders)}
            for place, folder in enumerate(folders):
                if folder in _IMAGE_FOLDERS[:-3]:
                    keys.add("/".join([*folders[:place], *folders[place + 1 :]]))
            for key in keys:
                by_key[key, stem].append(file)
    pairs = [
        (split_in(file), Path(images[0]).stem, listing.path(images[0]), listing.path(file))
        for key, file in masks
        if (images := by_key.get(key))
    ]
    if pairs:
        stems = {(split, name) for split, name, *_ in pairs}
        return [
            (
                split or split_of(re.sub("annot$", "", mask.parent.name)),
                # A stem that occurs in several folders does not tell one image from another.
                name if len(stems) == len(pairs) else _below(image, listing),
                image,
                mask,
            )
            for split, name, image, mask in pairs
        ]
    beside: dict[str, dict[str, str]] = defaultdict(dict)
    for file in listing.pictures:
        stem, suffix = file.rsplit(".", 1)
        beside[stem][suffix.lower()] = file
    return [
        (
            split_in(kinds["png"]),
            Path(stem).name,
            listing.path(kinds[photo]),
            listing.path(kinds["png"]),
        )
        for stem, kinds in sorted(beside.items())
        if "png" in kinds
        for photo in ("jpg", "jpeg")
        if photo in kinds
    ]


def _below(path: Path, listing: Listing) -> str:
    return path.relative_to(listing.root).with_suffix("").as_posix()


def _class_table(listing: Listing, masks: list[Path]) -> tuple[Mapping[str, Any], str, MaskCode]:
    """The class file, what to say about it, and the meaning of pixels."""
    for name in (
        "classes.json",
        "dataset_meta.json",
        "obj_class_to_machine_color.json",
        "class_mapping.csv",
        "label_colors.txt",
        "labelmap.txt",
        "class_dict.csv",
        "colors.txt",
    ):
        for file in listing.like(name, f"*/{name}"):
            path = listing.path(file)
            if name == "classes.json":
                own = read_class_file(path)
                known = np.flatnonzero(own.class_ids >= 0)
                ids = {int(raw): int(own.class_ids[raw]) for raw in known}
                return own.id_file(), f"classes of {file}", MaskCode(ids, own.colors)
            if name == "dataset_meta.json":
                content = read_json(path)
                labels = content["label_map"]
                colors = content.get("segmentation_colors")
                names = [labels[key] for key in sorted(labels, key=int)]
                code = _by_order(names)
                if colors:
                    table = ColorTable.of(zip(names, colors, strict=False), path)
                    return table.class_file(), f"classes of {file}", MaskCode(code.ids, table.ids)
                return ClassList(tuple(names), 0).class_file(), f"classes of {file}", code
            if name == "obj_class_to_machine_color.json":
                rows = {"background": [0, 0, 0], **read_json(path)}
                table = ColorTable.of(rows.items(), path)
                ids = {color & 255: index for color, index in table.ids.items()}
                return table.class_file(), f"classes of {file}", MaskCode(ids, table.ids)
            if name == "class_mapping.csv":  # Darwin: one grey value, or red, green and blue
                cells = [row for row in csv.reader(text_of(path).splitlines()) if len(row) > 1][1:]
                if all(row[1].strip().isdecimal() for row in cells):
                    names = [row[0] for row in cells]
                    ids = {int(row[1]): index for index, row in enumerate(cells)}
                    class_file = ClassList(tuple(names), 0).class_file()
                    return class_file, f"classes of {file}", MaskCode(ids)
                table = ColorTable.of(
                    ((row[0], [int(v) for v in row[1].split()]) for row in cells), path
                )
                return table.class_file(), f"classes of {file}", MaskCode({}, table.ids)
            table = read_labels(path)
            ids = {index: index for index in range(len(table.class_names))}
            return table.class_file(), f"classes of {file}", MaskCode(ids, table.ids)
    return _found_table(masks)


def _by_order(names: list[str]) -> MaskCode:
    return MaskCode({index: index for index in range(len(names))} | {255: IGNORE_LABEL})


def _found_table(masks: list[Path]) -> tuple[Mapping[str, Any], str, MaskCode]:
    from keras_ctxseg.data_tools.prepare.color_table import find_colors, found_table, frequent

    seen: set[int] = set()
    for mask in masks:
        values, kind = raw_values(mask)
        if kind == "colours":
            colors = find_colors(masks)
            kept = frequent(colors)
            if len(kept) < len(colors):
                raise ValueError(
                    f"{masks[0].parent}: the masks hold {len(colors)} colours, {len(kept)} of them "
                    "frequent. List them with `ctxseg prepare-data colors`, name them, and convert "
                    "with `ctxseg prepare-data masks --colors FILE --unknown nearest`"
                )
            table = found_table(kept)
            note = "no table of classes was found: they are named after their colours"
            return table.class_file(), note, MaskCode({}, table.ids)
        seen |= set(np.unique(values).tolist())
    if seen == {0, 255}:
        binary = ClassList(("background", "foreground"), 0).class_file()
        note = "0 and 255 are read as background and foreground"
        return binary, note, MaskCode({0: 0, 255: 1})
    count = len(seen)
    if count > 2 and sorted(seen) == [int(place * 255 / (count - 1)) for place in range(count)]:
        names = tuple(f"class_{raw}" for raw in sorted(seen))
        note = "the ids are spread over 0 ... 255, so each is a class, 255 too"
        code = MaskCode({raw: index for index, raw in enumerate(sorted(seen))})
        return ClassList(names, 0).class_file(), note, code
    classes = sorted(seen - {255})
    ids = {raw: index for index, raw in enumerate(classes)} | {255: IGNORE_LABEL}
    note = "no table of classes was found: they are named after their ids, and 255 is void"
    return ClassList(tuple(f"class_{raw}" for raw in classes), 0).class_file(), note, MaskCode(ids)


def read_camvid(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """CamVid as SegNet's authors publish it: `train/`, `trainannot/`, 11 classes and void."""
    from keras_ctxseg.data.builders.camvid import CLASSES

    found = [pair for pair in _folder_pairs(listing) if pair[3].parent.name.endswith("annot")]
    if not found:
        return None
    names = [name for name in CLASSES if name != "void"]
    ids = {index: index for index in range(len(names))} | {
        len(names): IGNORE_LABEL,
        255: IGNORE_LABEL,
    }
    colors = {
        pack_rgb(color): names.index(name) if name in names else IGNORE_LABEL
        for name, labels in CLASSES.items()
        for color in labels.values()
    }
    colors.setdefault(0, IGNORE_LABEL)
    tables = listing.like("label_colors.txt")
    table: Mapping[str, Any] = ClassList(tuple(names), IGNORE_LABEL).class_file()
    code = MaskCode(ids, colors)
    if tables:
        read = read_labels(listing.path(tables[0]))
        table, code = read.class_file(), MaskCode(_by_order(list(read.class_names)).ids, read.ids)
    pairs: dict[str, list[Pair]] = {}
    for split, name, image, mask in found:
        add_pair(pairs, split, name, mask, code, problems, image)
    return Recognised(
        "CamVid",
        ", ".join(sorted({mask.parent.name for *_, mask in found})),
        settle_splits(pairs),
        table,
    )
