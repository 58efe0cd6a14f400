"""`ctx.data_tools.check`: open every file of a folder data set and tell what is wrong with it."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.folder_checks import (
    check_mask_format,
    image_reading,
    read_folder_classes,
)
from keras_ctxseg.data.folder_layout import ExamplePaths, scan_folder
from keras_ctxseg.data.image_reading import ImageReading, ReadingError
from keras_ctxseg.data.images import FileError, read_header
from keras_ctxseg.data_tools.checks.advice import advice
from keras_ctxseg.data_tools.checks.example import ExampleFacts, examine, mask_kind
from keras_ctxseg.data_tools.checks.findings import KINDS, Finding, SplitFacts
from keras_ctxseg.data_tools.checks.judge import (
    judge_example,
    judge_repetitions,
    judge_splits,
    judge_values,
)
from keras_ctxseg.data_tools.checks.report import DataReport

_SAMPLED_PIXELS = 25_000_000  # in a split; what two cores decode in about a second


def check(
    path: str | os.PathLike,
    classes: str | os.PathLike | None = None,
    mask_format: str = "ids",
    sample: int | None = None,
    **options: Any,
) -> DataReport:
    """Open images and masks of a folder data set and report all that is wrong, or may be.

    Args:
        path, classes, mask_format: as `load_folder` takes them.
        sample: open so many pairs of each split, evenly spread (fewer where they are large), and
            compare them with all; None opens every pair.
        **options: `exif`, `bands`, `range`, `show` and `max_pixels`, as `load_folder` takes them.

    Raises:
        ValueError: no such folder, an unknown `mask_format`, or a `sample` below 1.

    Examples:
        >>> report = ctx.data_tools.check("mydata")
        >>> print(report.table())
        >>> report.errors   # what would stop a training
    """
    check_mask_format(mask_format)
    if sample is not None and sample < 1:
        raise ValueError(f"`sample`: expected 1 or more. Received: {sample}")
    root = Path(path).expanduser()
    layout = scan_folder(root)
    if not root.is_dir():
        raise layout.problems[0]
    findings = [Finding.of(problem) for problem in layout.problems]
    table = None
    try:
        table = read_folder_classes(root, classes, mask_format)
    except FileError as error:
        findings.append(Finding.of(error))
    reading = ImageReading().changed(options, "data.options")
    try:
        if table:
            reading = image_reading(table, options, layout.splits)
    except ReadingError as error:
        findings.append(Finding("image_values", root, str(error)))
        reading = dataclasses.replace(reading, range=None)
    if layout.splits:
        text = "its name does not end as one of an image does"
        findings += [Finding("skipped_file", file, text) for file in layout.skipped]

    everything = [(split, pair) for split, pairs in layout.splits.items() for pair in pairs]
    chosen = everything
    if sample is not None:
        chosen = [(s, p) for s, pairs in layout.splits.items() for p in _sample(pairs, sample)]
    examples = _examine_all(chosen, table, mask_format, root, reading)

    names = table.class_names if table else ()
    splits = {
        split: SplitFacts.of(
            [facts for facts in examples if facts.split == split], len(pairs), len(names)
        )
        for split, pairs in layout.splits.items()
    }
    for facts in examples:
        findings += judge_example(facts, names, reading)
    findings += judge_values(examples, reading, root)
    findings += judge_repetitions(examples, everything, root)
    findings += judge_splits(splits, names, root)
    order = list(KINDS)
    findings.sort(key=lambda finding: (order.index(finding.code), str(finding.path)))
    found = np.array(sorted(set().union(*(facts.raw for facts in splits.values()))), np.int64)
    class_file = Path(classes).expanduser() if classes else root / "classes.json"
    fault = next((f.message for f in findings if f.code == "class_file"), "")
    wrong_masks = [finding.path for finding in findings if finding.code == "mask_format"]
    return DataReport(
        root=root,
        mask_format=mask_format,
        class_names=names,
        palette=table.palette if table else np.zeros((0, 3), np.uint8),
        splits=splits,
        findings=tuple(findings),
        advice={
            code: text
            for code in {finding.code for finding in findings}
            if (
                text := advice(
                    code, root, list(splits), table, found, _kinds(wrong_masks), class_file, fault
                )
            )
        },
        declared=_declared(table, mask_format),
        reading=reading,
    )


def _examine_all(
    pairs: list[tuple[str, ExamplePaths]],
    table: ClassTable | None,
    mask_format: str,
    root: Path,
    reading: ImageReading,
) -> list[ExampleFacts]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(
            lambda pair: examine(pair[0], pair[1], table, mask_format, reading), pairs
        )
        return list(tqdm(results, f"Checking {root.name}", len(pairs), delay=1.0, leave=False))


def _sample(pairs: list[ExamplePaths], count: int) -> list[ExamplePaths]:
    places = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    chosen: list[ExamplePaths] = []
    pixels = 0
    for pair in (pairs[place] for place in places):
        try:
            header = read_header(pair.image)
            pixels += header.width * header.height
        except FileError:
            pass  # told when it is examined
        if chosen and pixels > _SAMPLED_PIXELS:
            break
        chosen.append(pair)
    return chosen


def _kinds(masks: list[Path]) -> list[str]:
    return sorted({mask_kind(mask) for mask in masks[:20]})


def _declared(table: ClassTable | None, mask_format: str) -> str:
    if table is None:
        return "unknown, for want of a class file"
    if mask_format == "colors":
        return f"{len(table.colors)} colours of the class file"
    return table.known_raw_ids
