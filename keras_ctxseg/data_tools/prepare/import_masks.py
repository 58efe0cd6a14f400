"""Data sets whose labels are mask files, recognised by their folders and names."""

import csv
import functools
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.class_file import pack_rgb
from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import Problems, read_json
from keras_ctxseg.data_tools.prepare.class_list import ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.color_table import ColorTable, read_color_table
from keras_ctxseg.data_tools.prepare.import_base import (
    ImportOptions,
    Listing,
    MaskCode,
    Recognised,
    raw_values,
    settle_splits,
    split_in,
)
from keras_ctxseg.data_tools.prepare.pairing import Pair, flat_name
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_VOC_BORDER = pack_rgb((224, 224, 192))
Change = Callable[[np.ndarray], np.ndarray] | None


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
        file.removeprefix(f"{root}SegmentationClass/").rsplit(".", 1)[0]: file
        for file in masks
        if file.startswith(f"{root}SegmentationClass/")
    }
    maps = [file for file in (f"{root}labelmap.txt", "labelmap.txt") if file in listing]
    if maps:
        table = read_color_table(listing.path(maps[0]))
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
        for name in some:
            if name not in by_name:
                unlabelled += 1
                continue
            mask = listing.path(by_name[name])
            image = listing.picture(f"{root}JPEGImages/{name}")
            known = split_of(split) if split_of(split) else ""
            _add(pairs, known, name, mask, code, problems, image or _find(listing, name, mask))
    listed = set().union(*names.values())
    notes = []
    if unlabelled:
        notes.append(f"{unlabelled} listed names have no mask and are left out")
    if unlisted := len(by_name.keys() - listed):
        notes.append(f"{unlisted} masks are in no list and are left out")
    title = "CVAT segmentation mask 1.1" if maps else "Pascal VOC"
    evidence = f"{root}SegmentationClass/" + "".join(f", {file}" for file in [*maps, *lists][:4])
    return Recognised(title, evidence, settle_splits(pairs), table.class_file(), tuple(notes))


def read_cityscapes(
    listing: Listing, options: ImportOptions, problems: Problems
) -> Recognised | None:
    """Cityscapes, IDD Lite and KITTI: label ids, training ids or instance ids."""
    from keras_ctxseg.data.builders.cityscapes_classes import CLASSES

    trained = {index: index for index in range(len(CLASSES))} | {255: IGNORE_LABEL}
    label_ids = dict.fromkeys([*range(-1, 34), 255], IGNORE_LABEL)
    label_ids |= {raw: index for index, (_, raw, _) in enumerate(CLASSES)}
    colors = {pack_rgb(color): index for index, (_, _, color) in enumerate(CLASSES)}
    names = [name for name, _, _ in CLASSES]
    kinds: list[tuple[str, MaskCode, Change]] = [
        ("_labelIds.png", MaskCode(label_ids), None),
        ("_labelTrainIds.png", MaskCode(trained | {19: IGNORE_LABEL}), None),
        ("_instanceIds.png", MaskCode(label_ids), _instance_labels),
        ("_label.png", MaskCode(dict.fromkeys(range(7), 0)), None),
    ]
    for ending, code, change in kinds:
        masks = [f for f in listing.pictures if f.endswith(ending) and "/gt" in f"/{f}"]
        if not masks:
            continue
        title = "Cityscapes"
        if ending == "_label.png":
            title, code = (
                "IDD Lite",
                MaskCode({**dict(zip(range(7), range(7), strict=True)), 255: IGNORE_LABEL}),
            )
            names = [
                "drivable",
                "non-drivable",
                "living things",
                "vehicles",
                "roadside objects",
                "far objects",
                "sky",
            ]
        pairs: dict[str, list[Pair]] = {}
        for file in masks:
            key = re.sub(r"(_gt(Fine|Coarse))?" + re.escape(ending) + "$", "", file)
            stem = re.sub(r"(^|/)gt[A-Za-z]*(/)", r"\1leftImg8bit\2", key)
            image = next(
                filter(
                    None,
                    (listing.picture(f"{stem}{end}") for end in ("_leftImg8bit", "_image", "")),
                ),
                None,
            )
            name = key.split("/")[-1] if title == "Cityscapes" else "__".join(key.split("/")[-2:])
            _add(pairs, split_in(file), name, listing.path(file), code, problems, image, change)
        table = ClassList(tuple(names), IGNORE_LABEL).class_file()
        if title == "Cityscapes":
            table["palette"] = [list(color) for _, _, color in CLASSES]
        notes = ("the 19 classes of the benchmark; others are void",) if colors else ()
        return Recognised(
            title,
            f"{len(masks)} files *{ending}",
            settle_splits(pairs),
            table,
            notes if title == "Cityscapes" else (),
        )
    return None


def read_kitti(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """KITTI's semantic segmentation benchmark: Cityscapes' label ids, or instances of them."""
    from keras_ctxseg.data.builders.cityscapes_classes import CLASSES

    for folder in ("semantic", "instance"):
        masks = listing.like(f"*training/{folder}/*.png", f"{folder}/*.png")
        if not masks or not listing.like("*image_2/*"):
            continue
        ids = dict.fromkeys([*range(-1, 34), 255], IGNORE_LABEL)
        ids |= {raw: index for index, (_, raw, _) in enumerate(CLASSES)}
        change = (lambda values: values // 256) if folder == "instance" else None
        pairs: dict[str, list[Pair]] = {}
        for file in masks:
            parent, name = file.rsplit(f"{folder}/", 1)
            stem = name.rsplit(".", 1)[0]
            image = listing.picture(f"{parent}image_2/{stem}")
            _add(pairs, "", stem, listing.path(file), MaskCode(ids), problems, image, change)
        table = ClassList(tuple(name for name, _, _ in CLASSES), IGNORE_LABEL).class_file()
        notes = ("Cityscapes' 19 classes; others are void",)
        return Recognised("KITTI", f"image_2/, {folder}/", settle_splits(pairs), table, notes)
    return None


def read_ade20k(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """ADE20K: the scene parsing challenge's 150 classes, or the full set's `*_seg.png`."""
    from keras_ctxseg.data.builders.ade20k import CLASS_NAMES

    whole = [file for file in listing.pictures if file.endswith("_seg.png")]
    if whole and listing.like("*_atr.txt", "*.json"):
        return _read_full_ade20k(listing, whole, options, problems)
    masks = [
        file
        for file in listing.pictures
        if "annotations/" in file and re.search(r"(^|/)ADE_(train|val)_\d+\.png$", file)
    ]
    if not masks:
        return None
    code = MaskCode({0: IGNORE_LABEL} | {index + 1: index for index in range(150)})
    pairs: dict[str, list[Pair]] = {}
    for file in masks:
        stem = file.rsplit(".", 1)[0]
        name = stem.split("/")[-1]
        image = listing.picture(stem.replace("annotations/", "images/", 1))
        _add(pairs, split_of(name.split("_")[1]), name, listing.path(file), code, problems, image)
    table = ClassList(tuple(CLASS_NAMES), IGNORE_LABEL).class_file()
    notes = ("150 classes; 0 is void",)
    return Recognised(
        "ADE20K scene parsing",
        f"annotations/, {len(masks)} files ADE_*.png",
        settle_splits(pairs),
        table,
        notes,
    )


def _read_full_ade20k(
    listing: Listing, masks: list[str], options: ImportOptions, problems: Problems
) -> Recognised | None:
    objects: dict[str, dict[int, str]] = {}
    by_instance = False
    for file in masks:
        stem = file.removesuffix("_seg.png")
        if f"{stem}.json" in listing:
            content = read_json(listing.path(f"{stem}.json"))
            rows = content["annotation"]["object"] if isinstance(content, dict) else []
            objects[file] = {
                row["name_ndx"]: row["name"] for row in rows if row["parts"]["part_level"] == 0
            }
        elif f"{stem}_atr.txt" in listing:
            by_instance = True
            text = listing.path(f"{stem}_atr.txt").read_text(encoding="utf-8", errors="replace")
            fields = [[part.strip() for part in line.split("#")] for line in text.splitlines()]
            objects[file] = {
                int(row[0]): row[3] for row in fields if len(row) > 4 and row[1] == "0"
            }
    if not objects:
        return None
    full = sorted({name for names in objects.values() for name in names.values()})
    short = {name: name.split(",")[0].strip() for name in full}
    twice = {name for name in short.values() if list(short.values()).count(name) > 1}
    short = {name: name if words in twice else words for name, words in short.items()}
    names = read_class_names(options.classes) if options.classes else sorted(set(short.values()))
    if len(names) > IGNORE_LABEL:
        raise ValueError(
            f"{listing.root}: expected at most {IGNORE_LABEL} classes. Found: {len(names)}; choose "
            "some of them with --classes; the others are void then"
        )
    table = ClassList(tuple(names), IGNORE_LABEL)

    def mask_of(path: Path, rows: dict[int, str]) -> np.ndarray:
        packed, _ = raw_values(path, {-1: 0})
        values = (packed >> 16) // 10 * 256 + (packed >> 8 & 255)
        if by_instance:  # the nth value of the blue channel is the nth object
            _, values = np.unique(packed & 255, return_inverse=True)
        mask = np.full(packed.shape, IGNORE_LABEL, np.uint8)
        for number, name in rows.items():
            if table.knows(short[name]):
                mask[values.reshape(packed.shape) == number] = table.id_of(short[name], path)
        return mask

    pairs: dict[str, list[Pair]] = {}
    for file, rows in objects.items():
        stem = file.removesuffix("_seg.png")
        image = listing.picture(stem)
        if image is None:
            text = "expected its image beside it. Found: none"
            problems.report(FileError("missing_image", listing.path(file), text))
            continue
        mask = functools.partial(mask_of, listing.path(file), rows)
        pairs.setdefault(split_in(file), []).append(Pair(flat_name(stem), image, image, mask))
    return Recognised(
        "ADE20K, full",
        f"{len(masks)} files *_seg.png",
        settle_splits(pairs),
        table.class_file(),
        ("pixels without an object are void",),
    )


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
            _add(
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
    tables = [file for file in listing.like("*_classes.csv") if file.endswith("_classes.csv")]
    for file in tables:
        with listing.path(file).open(encoding="utf-8-sig", newline="") as text:
            rows = [[cell.strip() for cell in row] for row in csv.reader(text) if row]
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
            _add(
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
        _add(pairs, split, name, mask, code, problems, image)
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
        return [
            (split or split_of(re.sub("annot$", "", mask.parent.name)), name, image, mask)
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


def _class_table(listing: Listing, masks: list[Path]) -> tuple[Mapping[str, Any], str, MaskCode]:
    """The class file, what to say about it, and the meaning of pixels."""
    for name in (
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
                with path.open(encoding="utf-8-sig", newline="") as text:
                    cells = [row for row in csv.reader(text) if len(row) > 1][1:]
                if all(row[1].strip().isdecimal() for row in cells):
                    names = [row[0] for row in cells]
                    ids = {int(row[1]): index for index, row in enumerate(cells)}
                    class_file = ClassList(tuple(names), 0).class_file()
                    return class_file, f"classes of {file}", MaskCode(ids)
                table = ColorTable.of(
                    ((row[0], [int(v) for v in row[1].split()]) for row in cells), path
                )
                return table.class_file(), f"classes of {file}", MaskCode({}, table.ids)
            table = read_color_table(path)
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
        names = ("background", "foreground")
        note = "0 and 255 are read as background and foreground"
        return ClassList(names, 0).class_file(), note, MaskCode({0: 0, 255: 1})
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
        read = read_color_table(listing.path(tables[0]))
        table, code = read.class_file(), MaskCode(_by_order(list(read.class_names)).ids, read.ids)
    pairs: dict[str, list[Pair]] = {}
    for split, name, image, mask in found:
        _add(pairs, split, name, mask, code, problems, image)
    return Recognised(
        "CamVid",
        ", ".join(sorted({mask.parent.name for *_, mask in found})),
        settle_splits(pairs),
        table,
    )


def _add(
    pairs: dict[str, list[Pair]],
    split: str,
    name: str,
    mask: Path,
    code: MaskCode,
    problems: Problems,
    image: Path | None,
    change: Change = None,
) -> None:
    if image is None:
        text = "expected an image of its name. Found: none (its folder: --images DIR)"
        problems.report(FileError("missing_image", mask, text))
        return
    read = functools.partial(code.read, mask, change)
    pairs.setdefault(split, []).append(Pair(flat_name(name), image, image, read))


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
    for line in path.read_text(encoding="utf-8-sig").splitlines():
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
