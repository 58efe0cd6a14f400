"""ADE20K: the scene parsing challenge's masks, and the full set's."""

import functools
import re
from pathlib import Path

import numpy as np

from keras_ctxseg.data.folder_layout import split_of
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import Problems, read_json
from keras_ctxseg.data_tools.prepare.class_list import ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.import_base import (
    ImportOptions,
    Listing,
    Recognised,
    settle_splits,
    split_in,
)
from keras_ctxseg.data_tools.prepare.mask_code import MaskCode, add_pair, raw_values
from keras_ctxseg.data_tools.prepare.pairing import Pair, flat_name
from keras_ctxseg.labels.panoptic import IGNORE_LABEL


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
        add_pair(
            pairs, split_of(name.split("_")[1]), name, listing.path(file), code, problems, image
        )
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
