"""A data set's folder made anew: split otherwise, or without the files that are no good."""

import json
import os
from pathlib import Path
from typing import Any

from keras_ctxseg.data.class_file import read_class_file
from keras_ctxseg.data.folder_layout import ExamplePaths, scan_folder
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.checks import KINDS, check
from keras_ctxseg.data_tools.prepare.pairing import Exif, Pair, pair_files
from keras_ctxseg.data_tools.prepare.splitting import Splitting
from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, write_pairs

# Pairs with these are left out by `clean_folder`; they are errors, or teach nothing new.
_LEFT_OUT = {code for code, kind in KINDS.items() if kind.severity == "error"} | {
    "duplicate",
    "all_ignored",
}
_WHOLE = ("class_file", "layout")


def split_folder(
    path: str | os.PathLike,
    output: str | os.PathLike,
    splitting: Splitting | None = None,
    exif: Exif = "auto",
    skip_errors: bool = False,
) -> PreparedFolder:
    """Copy a data set with its examples distributed anew; masks and class file stay as they are.

    Args:
        path: a folder with splits, or with `images/` and `labels/` in it.
        output: the new data set's folder.
        splitting, exif, skip_errors: as in `prepare_masks`.

    Raises:
        ValueError: whatever is wrong with the files, by name; nothing is written then.
    """
    root = Path(path).expanduser()
    if (root / "images").is_dir():
        found = pair_files(root / "images", root / "labels")
        pairs = [Pair(name, image, image, mask) for name, (image, mask) in found.items()]
    else:
        splits = _splits(root)
        names = [example.name for examples in splits.values() for example in examples]
        distinct = len(set(names)) == len(names)
        pairs = [
            _pair(example, example.name if distinct else f"{split}_{example.name}")
            for split, examples in splits.items()
            for example in examples
        ]
    class_file = class_file_content(root)
    return write_pairs(output, {"": pairs}, class_file, splitting, exif, skip_errors)


def clean_folder(
    path: str | os.PathLike,
    output: str | os.PathLike,
    mask_format: str = "ids",
    exif: Exif = "auto",
) -> tuple[PreparedFolder, list[Path]]:
    """Copy a data set without the pairs in which `check` finds errors, and without duplicates.

    Args:
        path: the data set's folder.
        output: the new one's.
        mask_format: as `load_folder`'s.
        exif: see `Pair.copy_into`.

    Returns:
        The new data set, and the files that were left out.

    Raises:
        ValueError: what leaving files out does not mend, such as a wrong class file.
    """
    report = check(path, mask_format=mask_format)
    for finding in report.findings:
        if finding.code in _WHOLE:
            raise FileError(finding.code, finding.path, finding.message)
    bad = {finding.path for finding in report.findings if finding.code in _LEFT_OUT}
    turned = {finding.path for finding in report.findings if finding.code == "exif_turned"}
    misfits = {finding.path for finding in report.findings if finding.code == "size_mismatch"}

    def good(example: ExamplePaths) -> bool:
        wrong = bad & {example.image, example.mask}
        # A mask of the turned size fits when the image is turned.
        return not wrong or (wrong <= misfits and example.image in turned)

    splits = {
        split: [_pair(example) for example in examples if good(example)]
        for split, examples in scan_folder(report.root).splits.items()
    }
    kept = {pair.mask for pairs in splits.values() for pair in pairs}
    class_file = class_file_content(report.root)
    prepared = write_pairs(output, splits, class_file, exif=exif, skip_errors=True)
    skipped = {problem.path for problem in prepared.skipped}
    return prepared, sorted(skipped | {path for path in bad if path not in kept})


def class_file_content(root: Path) -> dict[str, Any]:
    """The content of a folder's class file, checked."""
    read_class_file(root / "classes.json")
    return json.loads((root / "classes.json").read_text(encoding="utf-8-sig"))


def _splits(root: Path) -> dict[str, list[ExamplePaths]]:
    layout = scan_folder(root)
    if layout.problems:
        raise layout.problems[0]
    return layout.splits


def _pair(example: ExamplePaths, name: str | None = None) -> Pair:
    return Pair(name or example.name, example.image, example.image, example.mask)
