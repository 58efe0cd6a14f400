"""Data sets whose labels are mask files, recognised by their folders and names."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.class_file import pack_rgb
from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.images import FileError
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
from keras_ctxseg.data_tools.prepare.mask_code import Change, MaskCode, add_pair, read_labels
from keras_ctxseg.data_tools.prepare.pairing import Pair, normal
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_VOC_BORDER = pack_rgb((224, 224, 192))
_IDD_CLASSES = ("drivable", "non-drivable", "living things", "vehicles", "roadside objects",
                "far objects", "sky")  # fmt: skip


def read_voc(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Pascal VOC, and CVAT's "Segmentation mask 1.1", which is VOC with a `labelmap.txt`.

    `ImageSets/Segmentation/*.txt` name the splits. The white border between objects is void.
    """
    from keras_ctxseg.data.builders.pascal_voc import CLASS_NAMES
    from keras_ctxseg.data.builders.published import voc_palette

    masks = [file for file in listing.pictures if "SegmentationClass/" in f"/{file}"]
    if not masks:
        return None
    root = masks[0][: masks[0].index("SegmentationClass/")]
    by_name = {
        normal(file.removeprefix(f"{root}SegmentationClass/").rsplit(".", 1)[0]): file
        for file in masks
        if file.startswith(f"{root}SegmentationClass/")
    }
    maps = [file for file in (f"{root}labelmap.txt", "labelmap.txt") if file in listing]
    if maps:
        table = read_labels(listing.path(maps[0]))
    else:
        colors = voc_palette(len(CLASS_NAMES)).tolist()
        table = ColorTable.of(zip(CLASS_NAMES, colors, strict=True), "VOC")
    code = MaskCode(
        {index: index for index in range(len(table.class_names))} | {255: IGNORE_LABEL},
        {_VOC_BORDER: IGNORE_LABEL, **table.ids},
    )
    lists = listing.like(f"{root}ImageSets/Segmentation/*.txt")
    names = {
        split_of(Path(file).stem) or Path(file).stem: _list(listing.path(file)) for file in lists
    } or {"": sorted(by_name)}
    pairs: dict[str, list[Pair]] = {}
    unlabelled = 0
    for split, some in names.items():
        for name in map(normal, some):
            if name not in by_name:
                unlabelled += 1
                continue
            mask = listing.path(by_name[name])
            image = listing.picture(f"{root}JPEGImages/{name}")
            known = split_of(split)
            add_pair(pairs, known, name, mask, code, problems, image or _find(listing, name, mask))
    listed = set(map(normal, set().union(*names.values())))
    notes = []
    if unlabelled:
        notes.append(f"{unlabelled} listed names have no mask and are left out")
    if unlisted := len(by_name.keys() - listed):
        notes.append(f"{unlisted} masks are in no list and are left out")
    title = "CVAT segmentation mask 1.1" if maps else "Pascal VOC"
    evidence = f"{root}SegmentationClass/" + "".join(f", {file}" for file in [*maps, *lists][:4])
    return Recognised(title, evidence, settle_splits(pairs), table.class_file(), tuple(notes))


def _cityscapes_ids() -> dict[int, int]:
    """Cityscapes' label ids to training ids; what the benchmark leaves out is void."""
    from keras_ctxseg.data.builders.cityscapes_classes import CLASSES

    ids = dict.fromkeys([*range(-1, 34), 255], IGNORE_LABEL)
    return ids | {raw: index for index, (_, raw, _) in enumerate(CLASSES)}


def _cityscapes_file() -> dict[str, Any]:
    from keras_ctxseg.data.builders.cityscapes_classes import CLASSES

    names = tuple(name for name, _, _ in CLASSES)
    palette = [list(color) for _, _, color in CLASSES]
    return ClassList(names, IGNORE_LABEL).class_file() | {"palette": palette}


def read_cityscapes(
    listing: Listing, options: ImportOptions, problems: Problems
) -> Recognised | None:
    """Cityscapes: label ids, training ids or instance ids."""
    trained = {index: index for index in range(19)}
    kinds: list[tuple[str, MaskCode, Change]] = [
        ("_labelIds.png", MaskCode(_cityscapes_ids()), None),
        ("_labelTrainIds.png", MaskCode(trained | dict.fromkeys((19, 255), IGNORE_LABEL)), None),
        ("_instanceIds.png", MaskCode(_cityscapes_ids()), _instance_labels),
    ]
    for ending, code, change in kinds:
        pairs = _street_pairs(listing, ending, "_leftImg8bit", 1, code, problems, change)
        if pairs is not None:
            notes = ("the 19 classes of the benchmark; others are void",)
            table = _cityscapes_file()
            return Recognised("Cityscapes", f"files *{ending}", settle_splits(pairs), table, notes)
    return None


def read_idd(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """IDD Lite: seven classes, 255 is void; names are unique within a drive only."""
    code = MaskCode({index: index for index in range(7)} | {255: IGNORE_LABEL})
    pairs = _street_pairs(listing, "_label.png", "_image", 2, code, problems)
    if pairs is None:
        return None
    table = ClassList(_IDD_CLASSES, IGNORE_LABEL).class_file()
    return Recognised("IDD Lite", "files gtFine/*_label.png", settle_splits(pairs), table)


def _street_pairs(
    listing: Listing,
    ending: str,
    image_ending: str,
    parts: int,
    code: MaskCode,
    problems: Problems,
    change: Change = None,
) -> dict[str, list[Pair]] | None:
    """Masks below `gt*/<split>/<city>/` with their images below `leftImg8bit`; None without any."""
    masks = [f for f in listing.pictures if f.endswith(ending) and "/gt" in f"/{f}"]
    pairs: dict[str, list[Pair]] = {}
    for file in masks:
        key = re.sub(r"(_gt(Fine|Coarse))?" + re.escape(ending) + "$", "", file)
        stem = re.sub(r"(^|/)gt[A-Za-z]*(/)", r"\1leftImg8bit\2", key)
        image = listing.picture(f"{stem}{image_ending}") or listing.picture(stem)
        name = "__".join(key.split("/")[-parts:])
        add_pair(pairs, split_in(file), name, listing.path(file), code, problems, image, change)
    return pairs if masks else None


def read_kitti(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """KITTI's semantic segmentation benchmark: Cityscapes' label ids, or instances of them."""
    code = MaskCode(_cityscapes_ids())
    for folder in ("semantic", "instance"):
        masks = listing.like(f"*training/{folder}/*.png", f"{folder}/*.png")
        if not masks or not listing.like("*image_2/*"):
            continue
        change = (lambda values: values // 256) if folder == "instance" else None
        pairs: dict[str, list[Pair]] = {}
        for file in masks:
            parent, name = file.rsplit(f"{folder}/", 1)
            stem = name.rsplit(".", 1)[0]
            image = listing.picture(f"{parent}image_2/{stem}")
            add_pair(pairs, "", stem, listing.path(file), code, problems, image, change)
        notes = ("Cityscapes' 19 classes; others are void",)
        evidence = f"image_2/, {folder}/"
        return Recognised("KITTI", evidence, settle_splits(pairs), _cityscapes_file(), notes)
    return None


def read_mapillary(
    listing: Listing, options: ImportOptions, problems: Problems
) -> Recognised | None:
    """Mapillary Vistas 1.2 or 2.0; classes that the benchmark does not evaluate are void."""
    for version in ("v2.0", "v1.2", ""):
        masks = listing.like(f"*/{version}/labels/*.png" if version else "*/labels/*.png")
        configs = listing.like(f"config_{version}.json" if version else "config.json")
        if not masks or not configs:
            continue
        content = read_json(listing.path(configs[0]))
        if not isinstance(content, dict) or "labels" not in content:
            return None
        labels = content["labels"]
        kept = [label for label in labels if label.get("evaluate", True)]
        ids = {
            number: kept.index(label) if label in kept else IGNORE_LABEL
            for number, label in enumerate(labels)
        }
        pairs: dict[str, list[Pair]] = {}
        for file in masks:
            split, stem = file.split("/")[0], Path(file).stem
            add_pair(
                pairs,
                split_of(split),
                stem,
                listing.path(file),
                MaskCode(ids),
                problems,
                listing.picture(f"{split}/images/{stem}"),
            )
        table = ClassList(tuple(label["readable"] for label in kept), IGNORE_LABEL).class_file()
        colors = [list(label["color"]) for label in kept]
        if len({tuple(color) for color in colors}) == len(colors):
            table["palette"] = colors
        notes = []
        if len(kept) < len(labels):
            notes.append(f"{len(labels) - len(kept)} classes that are not evaluated are void")
        title = f"Mapillary Vistas {version}".strip()
        return Recognised(title, configs[0], settle_splits(pairs), table, tuple(notes))
    return None


def read_roboflow(
    listing: Listing, options: ImportOptions, problems: Problems
) -> Recognised | None:
    """Roboflow's "Semantic Segmentation Masks": `_classes.csv` and `*_mask.png` in each split."""
    names: dict[int, str] = {}
    pairs: dict[str, list[Pair]] = {}
    tables = listing.like("*_classes.csv")
    for file in tables:
        lines = text_of(listing.path(file)).splitlines()
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
        if not rows or rows[0][0].lower() != "pixel value":
            continue  # of a multi-label classification
        names |= {int(row[0]): ",".join(row[1:]) for row in rows[1:] if row[0].isdecimal()}
    if not names:
        return None
    places = sorted(names)
    code = MaskCode({raw: places.index(raw) for raw in places if raw != 255} | {255: IGNORE_LABEL})
    places = [raw for raw in places if raw != 255]
    for file in listing.pictures:
        if file.endswith("_mask.png"):
            stem = file.removesuffix("_mask.png")
            add_pair(
                pairs,
                split_in(file),
                stem.split("/")[-1],
                listing.path(file),
                code,
                problems,
                listing.picture(stem),
            )
    if not pairs:
        return None
    table = ClassList(tuple(names[raw] for raw in places), IGNORE_LABEL).class_file()
    return Recognised("Roboflow masks", ", ".join(tables), settle_splits(pairs), table)


def _find(listing: Listing, name: str, source: Path) -> Path | None:
    for suffix in (".jpg", ".jpeg", ".png"):
        try:
            found = listing.image(f"{name}{suffix}", source)
        except FileError:
            continue
        if found != source and "Segmentation" not in found.parent.name:
            return found
    return None


def _list(path: Path) -> list[str]:
    """Names in a list; paths of images (and masks) are cut down to them."""
    names = []
    for line in text_of(path).splitlines():
        line = line.strip()
        if line.startswith('"'):
            names.append(line.strip('"'))
        elif line.startswith("/"):
            names.append(Path(line.split()[0]).stem)
        elif line:
            names.append(re.sub(r"\s+-?[01]$", "", line))
    return names


def _instance_labels(values: np.ndarray) -> np.ndarray:
    return np.where(values < 1000, values, values // 1000)
