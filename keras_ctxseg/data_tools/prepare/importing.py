"""`ctxseg prepare-data import`: recognises what an annotation tool or a data set's site gives.

The readers follow the formats' own documents and exporters, with pycocotools, OpenCV and pydantic
underneath, and not Datumaro: its 1.x cannot be installed beside the tested set, and 0.5 brings
NiBabel, tensorboardX and a second OpenCV.
"""

import csv
import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import Problems
from keras_ctxseg.data_tools.prepare.class_list import ClassList, read_class_names
from keras_ctxseg.data_tools.prepare.import_ade20k import read_ade20k
from keras_ctxseg.data_tools.prepare.import_base import (
    ImportOptions,
    Listing,
    Recognised,
    settle_splits,
    split_in_name,
)
from keras_ctxseg.data_tools.prepare.import_coco import read_coco, read_labelme
from keras_ctxseg.data_tools.prepare.import_folders import read_camvid, read_folders
from keras_ctxseg.data_tools.prepare.import_geojson import read_geojson
from keras_ctxseg.data_tools.prepare.import_json import read_darwin, read_hasty, read_supervisely
from keras_ctxseg.data_tools.prepare.import_label_studio import read_label_studio
from keras_ctxseg.data_tools.prepare.import_masks import (
    read_cityscapes,
    read_idd,
    read_kitti,
    read_mapillary,
    read_roboflow,
    read_voc,
)
from keras_ctxseg.data_tools.prepare.import_text import read_kaggle, read_yolo
from keras_ctxseg.data_tools.prepare.import_xml import read_cvat, read_labelme_xml
from keras_ctxseg.data_tools.prepare.pairing import Exif, Pair, any_size, flat_name
from keras_ctxseg.data_tools.prepare.splitting import Splitting
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_pairs
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

# In the order in which they are tried: those with names of their own first.
READERS = {
    "mapillary": read_mapillary,
    "cityscapes": read_cityscapes,
    "idd": read_idd,
    "kitti": read_kitti,
    "ade20k": read_ade20k,
    "voc": read_voc,
    "roboflow": read_roboflow,
    "supervisely": read_supervisely,
    "cvat": read_cvat,
    "coco": read_coco,
    "label-studio": read_label_studio,
    "darwin": read_darwin,
    "hasty": read_hasty,
    "labelme": read_labelme,
    "labelme-xml": read_labelme_xml,
    "yolo": read_yolo,
    "kaggle": read_kaggle,
    "geojson": read_geojson,
    "camvid": read_camvid,
    "folders": read_folders,
}
# Those whose readers give masks as they are; the others draw the chosen classes alone.
_MASK_FILES = ("mapillary", "cityscapes", "idd", "kitti", "ade20k", "voc", "roboflow", "camvid",
               "folders")  # fmt: skip
_SHOWN = 5


def recognise(
    path: str | os.PathLike,
    options: ImportOptions | None = None,
    problems: Problems | None = None,
    only: str | None = None,
) -> Recognised:
    """Find out which format a folder is in, and read its annotations.

    Args:
        path: the folder, as the tool exported it.
        options: see `ImportOptions`.
        problems: receives what is wrong with single images and shapes.
        only: the format's name, a key of `READERS`, instead of trying all.

    Raises:
        ValueError: no such folder, a format that is not known, or files that are damaged.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        found = "a file (unpack archives first)" if root.exists() else "none"
        raise FileError("layout", root, f"expected a folder. Found: {found}")
    if only is not None and only not in READERS:
        raise ValueError(
            f"`format`: expected one of {', '.join(READERS)}. Received: {only!r}."
            f"{nearest(only, READERS)}"
        )
    options = options or ImportOptions()
    listing = Listing(root, options.images)
    problems = Problems() if problems is None else problems
    before = len(problems)
    names = [only] if only else list(READERS)
    for name in names:
        try:
            recognised = READERS[name](listing, options, problems)
        except (UnicodeError, csv.Error) as error:
            text = f"expected what the format {name!r} writes. Found: {error}"
            raise FileError("unreadable", root, text) from error
        except ValueError as error:
            if len(problems) == before:
                raise
            lines = [*map(str, problems[before : before + _SHOWN]), str(error)]
            raise ValueError("\n".join(lines)) from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            text = f"expected what the format {name!r} writes. Found: {error!r:.200}"
            raise FileError("unreadable", root, text) from error
        if recognised is not None and (any(recognised.pairs.values()) or len(problems) > before):
            if options.classes and name in _MASK_FILES:
                recognised = _only(recognised, read_class_names(options.classes))
            return _by_lists(listing, recognised)
        del problems[before:]
    inside = ", ".join(listing.files[:6]) or "nothing"
    raise FileError(
        "layout",
        root,
        f"expected one of the formats {', '.join(names)}. Found: {inside}"
        f"{' ...' if len(listing.files) > 6 else ''}",
    )


def _only(found: Recognised, chosen: Sequence[str]) -> Recognised:
    """Some of the classes of mask files, in the given order; pixels of the others are void."""
    names = list(found.class_file["classes"])
    ids = np.full(256, IGNORE_LABEL, np.uint8)
    for index, name in enumerate(chosen):
        if name not in names:
            raise ValueError(
                f"`classes`: expected names of {found.format}. Received: {name!r}."
                f"{nearest(name, names)}"
            )
        ids[names.index(name)] = index
    class_file = ClassList(tuple(chosen), IGNORE_LABEL).class_file()
    if palette := found.class_file.get("palette"):
        class_file["palette"] = [palette[names.index(name)] for name in chosen]

    def masked(pair: Pair) -> Pair:
        return dataclasses.replace(pair, mask=lambda: ids[pair.read_mask()])

    pairs = {split: [masked(pair) for pair in some] for split, some in found.pairs.items()}
    notes = (*found.notes, f"{len(names) - len(chosen)} classes that were not chosen are void")
    return Recognised(found.format, found.evidence, pairs, class_file, notes)


def _by_lists(listing: Listing, found: Recognised) -> Recognised:
    """Pairs without splits, distributed by the folder's lists (`train.txt`, `val.txt`), if any."""
    if set(found.pairs) != {""}:
        return found
    pairs = found.pairs[""]
    by_key: dict[str, Pair] = {}
    for pair in pairs:
        by_key[pair.name] = pair
        if isinstance(pair.image, Path):
            by_key.setdefault(flat_name(pair.image.stem), pair)
            below = os.path.relpath(pair.image.with_suffix(""), listing.root)
            by_key.setdefault(flat_name(below), pair)
    splits: dict[str, list[Pair]] = {}
    lists = []
    for file in listing.like("*.txt"):
        split = split_in_name(file)
        if not split or "/labels/" in f"/{file}":
            continue
        text = listing.path(file).read_text(encoding="utf-8-sig", errors="replace")
        names = [line.split()[0] if line.strip() else "" for line in text.splitlines()]
        stems = [re.sub(r"\.(jpe?g|png|tiff?|bmp|webp)$", "", name, flags=re.I) for name in names]
        keys = [(flat_name(stem), flat_name(stem.rsplit("/", 1)[-1])) for stem in stems if stem]
        some = [by_key.get(whole) or by_key.get(last) for whole, last in keys]
        if listed := list(dict.fromkeys(pair.name for pair in some if pair)):
            splits.setdefault(split, []).extend(by_key[name] for name in listed)
            lists.append(file)
    settled = settle_splits(splits)
    if "" in settled or len(settled) < 2:
        return found
    count = len({pair.name for some in settled.values() for pair in some})
    notes = list(found.notes)
    if count < len(pairs):
        notes.append(f"{len(pairs) - count} images are in no list and are left out")
    evidence = f"{found.evidence}; splits by {', '.join(lists)}"
    return Recognised(found.format, evidence, settled, found.class_file, tuple(notes))


def import_folder(
    path: str | os.PathLike,
    output: str | os.PathLike,
    options: ImportOptions | None = None,
    only: str | None = None,
    splitting: Splitting | None = None,
    exif: Exif = "auto",
    skip_errors: bool = False,
    tell: Callable[[Recognised], None] | None = None,
) -> tuple[PreparedFolder, Recognised]:
    """Make a data set of a folder in any of the formats of `READERS`.

    The data's own splits, by folders, names or lists, are kept where there are two or more of them
    with one for training; otherwise the images are split at random.

    Args:
        path, options, only: as `recognise` takes them.
        output: the new data set's folder.
        splitting: of data without splits; 20 % to `val` if not given.
        exif, skip_errors: as in `prepare_masks`.
        tell: called with what was recognised, before anything is written.

    Returns:
        The new data set, and what was recognised.

    Raises:
        ValueError: whatever is wrong with the files, by name; nothing is written then.
    """
    problems = Problems()
    with any_size():
        found = recognise(path, options, problems, only)
    if tell is not None:
        tell(found)
    prepared = write_pairs(
        output, found.pairs, found.class_file, splitting, exif, skip_errors, problems
    )
    return prepared, found
