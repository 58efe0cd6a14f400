"""What to do about a finding: a command, or what to write where."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.folder_checks import BINARY_ADVICE
from keras_ctxseg.data.images import SUFFIXES
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_CLEAN = {"missing_mask", "missing_image", "same_name", "unreadable", "truncated",
          "too_small", "size_mismatch", "leakage", "duplicate", "all_ignored"}  # fmt: skip


def advice(
    code: str,
    root: Path,
    splits: Sequence[str],
    table: ClassTable | None,
    found: np.ndarray,
    mask_modes: Sequence[str] = (),
    class_file: Path | None = None,
    fault: str = "",
) -> str:
    """One or two lines for all findings of a kind; empty where nothing general can be said.

    Args:
        code: the kind, a key of `findings.KINDS`.
        root: the data set's folder.
        splits: its splits.
        table: its classes, where they could be read.
        found: the raw ids (or packed colours) of all masks, sorted.
        mask_modes: what the masks in another format are: `"palette"`, `"grey"`, `"colors"`.
        class_file: the class file; `<root>/classes.json` if not given.
        fault: what is wrong with it, as its reader says.
    """
    new = shlex.quote(f"{root}_new")
    old = shlex.quote(str(root))
    if code == "layout" and not splits:
        return f"ctxseg prepare-data import {old} --output {new}"
    if code in _CLEAN:
        also = ", which turns images that fit then" if code == "size_mismatch" else ""
        command = f"ctxseg prepare-data clean {old} --output {new}"
        return f"mend the files, or leave them out: {command}{also}"
    if code == "mask_format":
        return _convert(root, splits, mask_modes, new)
    if code == "unknown_ids":
        return _declare(table, found)
    if code == "class_file":
        return _mend_class_file(class_file or root / "classes.json", fault, found)
    if code == "exif_turned":
        return (
            "masks were drawn on the stored pixels? data.options.exif=keep, or in the class file "
            '"images": {"exif": "keep"}'
        )
    if code == "too_large":
        return (
            f"cut them: ctxseg prepare-data tile {old} --output {new} --size 1024x1024; or raise "
            "the limit: data.options.max_pixels=1000000000"
        )
    if code == "narrow_range":
        return (
            "state the range: data.options.range=auto, or in the class file "
            '"images": {"range": [0, 4095]}'
        )
    if code == "image_values":
        return (
            "say how to read them, as options of the data set or in the class file: "
            '"images": {"range": "auto", "bands": [1, 2, 3]}'
        )
    if code == "alpha_dropped":
        return "to read it as a fourth channel: data.options.bands=[1,2,3,4]"
    if code in ("near_leakage", "absent_class"):
        option = "--group-by REGEX" if code == "near_leakage" else "--seed 1"
        return f"split anew: ctxseg prepare-data split {old} --output {new} {option}"
    if code == "no_validation":
        return f"ctxseg prepare-data split {old} --output {new} --val 0.2"
    if code == "one_class" and _binary(table, found):
        return BINARY_ADVICE
    if code == "split_names":
        names = ", ".join(splits)
        return (
            "rename the folders to train and val, or tell the recipe: data.train_split=NAME "
            f"data.validation_split=NAME (of {names})"
        )
    if code == "skipped_file":
        return f"read are {', '.join(SUFFIXES)}; convert others first (magick, heif-convert)"
    return ""


def _convert(root: Path, splits: Sequence[str], modes: Sequence[str], new: str) -> str:
    command = (
        f"ctxseg prepare-data masks --images {shlex.quote(f'{root}/{{split}}/images')} "
        f"--masks {shlex.quote(f'{root}/{{split}}/labels')} --splits {','.join(splits)}"
    )
    ids = f"{command} --ids {shlex.quote(f'{root}/classes.json')} --output {new}"
    if set(modes) == {"palette"}:
        return f"read them as they are with data.options.mask_format=palette, or convert: {ids}"
    if set(modes) == {"grey"}:
        return f"their channels are equal, so they hold ids: {ids}"
    return f"{command} --output {new}"


def _declare(table: ClassTable | None, found: np.ndarray) -> str:
    if table is None:
        return ""
    count = len(table.class_names)
    ids = found[found != IGNORE_LABEL]
    if len(ids) and ids.min() == 1 and ids.max() == count:
        shift = ", ".join(f'"{raw}": {raw - 1}' for raw in range(1, count + 1))
        return f'ids seem to start at 1: add "label_map": {{{shift}}} to the class file'
    return (
        'name them in the class file: under "classes", "label_map" (raw id to class) or "void"; '
        'colours under "palette" or "void_colors"'
    )


def _binary(table: ClassTable | None, found: np.ndarray) -> bool:
    return table is not None and len(table.class_names) == 2 and found.tolist() == [0, IGNORE_LABEL]


def _mend_class_file(path: Path, fault: str, found: np.ndarray) -> str:
    """Where and how to change a class file that is there; its names are never replaced."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return f"write {path}, such as {_skeleton(found)}"
    names = _own_names(text)
    lines = text.splitlines()
    number = 0
    key = re.match(r"`(\w+)", fault)
    if place := re.search(r"line (\d+) column", fault):
        number = int(place[1])
    elif key:
        number = next((n for n, line in enumerate(lines, 1) if f'"{key[1]}"' in line), 0)
    if 1 < number <= len(lines) and lines[number - 1].strip()[:1] in ("}", "]"):
        # JSON's parser sees a comma too many only at the bracket after it.
        number -= lines[number - 2].rstrip().endswith(",")
    where = f"line {number}, {lines[number - 1].strip():.120}" if 0 < number <= len(lines) else ""
    parts = [f"change {path} where the finding says" + (f": {where}" if where else "")]
    if names:
        parts.append(f"keep its names: {json.dumps({'classes': names}, ensure_ascii=False)}")
    elif not key or key[1] != "classes":
        parts.append(f"names are missing: {_skeleton(found)} shows the form")
    return "; ".join(parts)


def _own_names(text: str) -> list[str]:
    """The names in a class file, under any key, also where the file is no JSON."""
    try:
        content = json.loads(text)
    except ValueError:
        match = re.search(r"""["']classes["']\s*:\s*\[(.*?)(\]|"\w+"\s*:|$)""", text, re.DOTALL)
        return re.findall(r"""["']([^"'\n]*)["']""", match[1]) if match else []
    places = [content]
    if isinstance(content, dict):
        places = [content.get("classes"), *content.values(), content]
    for place in places:
        if isinstance(place, dict):  # id to name
            keys = sorted(key for key in place if key.isdecimal())
            place = [place[key] for key in sorted(keys, key=int)]
        if isinstance(place, list):
            items = [item.get("name") if isinstance(item, dict) else item for item in place]
            names = [item for item in items if isinstance(item, str)]
            if names and len(names) == len(items):
                return list(dict.fromkeys(names))
    return []


def _skeleton(found: np.ndarray) -> str:
    ids = found[(found < IGNORE_LABEL)]
    names = ", ".join(f'"class {raw}"' for raw in range(int(ids.max()) + 1 if len(ids) else 2))
    return f'{{"classes": [{names}], "void": {IGNORE_LABEL}}}'
