"""What to do about a finding: a command, or what to write where."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_ctxseg.data.class_file import ClassTable
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
) -> str:
    """One or two lines for all findings of a kind; empty where nothing general can be said.

    Args:
        code: the kind, a key of `findings.KINDS`.
        root: the data set's folder.
        splits: its splits.
        table: its classes, where they could be read.
        found: the raw ids (or packed colours) of all masks, sorted.
        mask_modes: what the masks in another format are: `"palette"`, `"grey"`, `"colors"`.
    """
    new = shlex.quote(f"{root}_new")
    old = shlex.quote(str(root))
    if code == "layout" and not splits:
        return f"ctxseg prepare-data masks --images DIR --masks DIR --output {new}"
    if code in _CLEAN:
        also = ", which turns images that fit then" if code == "size_mismatch" else ""
        command = f"ctxseg prepare-data clean {old} --output {new}"
        return f"mend the files, or leave them out: {command}{also}"
    if code == "mask_format":
        return _convert(root, splits, mask_modes, new)
    if code == "unknown_ids":
        return _declare(table, found)
    if code == "class_file":
        return f"write {root}/classes.json, such as {_skeleton(found)}"
    if code == "exif_turned":
        return (
            f"ctxseg prepare-data clean {old} --output {new} --exif upright (masks were drawn in a "
            "viewer) or --exif stored (they were not)"
        )
    if code in ("near_leakage", "absent_class"):
        option = "--group-by REGEX" if code == "near_leakage" else "--seed 1"
        return f"split anew: ctxseg prepare-data split {old} --output {new} {option}"
    if code == "no_validation":
        return f"ctxseg prepare-data split {old} --output {new} --val 0.2"
    if code == "one_class" and _binary(table, found):
        return (
            'the masks hold 0 and 255, and 255 is void unless the class file says otherwise: add '
            '"label_map": {"0": 0, "255": 1}, "void": []'
        )  # fmt: skip
    if code == "skipped_file":
        return "only .jpg, .jpeg and .png are read; ctxseg prepare-data masks converts others"
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


def _skeleton(found: np.ndarray) -> str:
    ids = found[(found < IGNORE_LABEL)]
    names = ", ".join(f'"class {raw}"' for raw in range(int(ids.max()) + 1 if len(ids) else 2))
    return f'{{"classes": [{names}], "void": {IGNORE_LABEL}}}'
