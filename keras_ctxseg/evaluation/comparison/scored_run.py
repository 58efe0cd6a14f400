"""A run's `scores.json`, read for a comparison."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.metrics import ClassCounts

FORMAT = 2


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """What one evaluation counted, image by image.

    Attributes:
        path: of the `scores.json`.
        folder: the run's folder with its `config.yaml`; None where the file lies elsewhere.
        class_names: in the order of the ids.
        ignore_label: the id that counted nowhere.
        images: the images' names, in the order of the examples.
        sizes: (images, 2) height and width of the label maps.
        counts: of each image, (images, classes).
        mean_ious: (images,) each image's own mean IoU; NaN where no pixel counted.
        protocol: how the images were predicted, without the name of a preset.
        source: the file's `source`; None where `ctxseg evaluate` did not write it.
    """

    path: Path
    folder: Path | None
    class_names: tuple[str, ...]
    ignore_label: int
    images: tuple[str, ...]
    sizes: np.ndarray
    counts: ClassCounts
    mean_ious: np.ndarray
    protocol: dict[str, Any]
    source: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The run's folder, or the file's."""
        return (self.folder or self.path.absolute().parent).absolute().name


def find_scores(run: str | os.PathLike, split: str | None = None) -> Path:
    """The `scores.json` that a run's folder, an evaluation's folder or a file means.

    Args:
        run: a run's folder, a folder with a `scores.json`, or such a file.
        split: which of the folders in RUN/evaluation; needed where there are several, of which
            those that depart from the run's recipe (`val+flip=true`) do not count.

    Raises:
        ValueError: there is none, or several and `split` does not tell which.
    """
    path = Path(run)
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(f"{path}: expected a run's folder or a scores.json. Found nothing there")
    if (path / "scores.json").is_file():
        return path / "scores.json"
    found = {file.parent.name: file for file in sorted(path.glob("evaluation/*/scores.json"))}
    if split is not None:
        found = {name: file for name, file in found.items() if name == split}
    elif len(found) > 1:
        found = {name: file for name, file in found.items() if "+" not in name} or found
    if not found:
        what = f"evaluation/{split or 'SPLIT'}/scores.json"
        raise ValueError(f"{path}: expected {what} in it. Write it with `ctxseg evaluate {path}`")
    if len(found) > 1:
        raise ValueError(
            f"{path} was evaluated on {', '.join(found)}: say which one to compare, as in "
            f"--split {next(iter(found))}"
        )
    return next(iter(found.values()))


def read_scored_run(path: str | os.PathLike) -> ScoredRun:
    """Reads a `scores.json`.

    Raises:
        ValueError: not such a file, or one of an earlier version, without counts for each image.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("format", 1)
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: expected the scores.json of an evaluation: {error}") from error
    if version != FORMAT:
        raise ValueError(
            f"{path}: expected scores of format {FORMAT}, with counts for each image. Found format "
            f"{version}: evaluate the run again"
        )
    names = tuple(entry["name"] for entry in content["classes"])
    images = content["images"]
    counts = np.zeros((3, len(images), len(names)), np.int64)
    for place, image in enumerate(images):
        counts[:, place] = _counts(image["confusion"], len(names))
    own = [image["mean_iou"] for image in images]
    # RUN/evaluation/SPLIT/scores.json
    folder = path.absolute().parent.parent.parent
    return ScoredRun(
        path=path,
        folder=folder if (folder / "config.yaml").is_file() else None,
        class_names=names,
        ignore_label=content["ignore_label"],
        images=tuple(image["name"] for image in images),
        sizes=np.array([(image["height"], image["width"]) for image in images]).reshape(-1, 2),
        counts=ClassCounts(counts[0], counts[1], counts[2]),
        mean_ious=np.array([np.nan if iou is None else iou for iou in own], float),
        protocol={key: v for key, v in content["protocol"].items() if key != "name"},
        source=content.get("source"),
    )


def _counts(confusion: dict, classes: int) -> np.ndarray:
    """Hits, labelled and predicted pixels by class, (3, classes) int64."""
    label, prediction = np.divmod(np.array(confusion["cells"], np.int64), classes)
    pixels = np.array(confusion["counts"], np.int64)
    sums = np.zeros((3, classes), np.int64)
    right = label == prediction
    np.add.at(sums[0], label[right], pixels[right])
    np.add.at(sums[1], label, pixels)
    np.add.at(sums[2], prediction, pixels)
    return sums


def check_comparable(runs: Sequence[ScoredRun], any_protocol: bool = False) -> None:
    """Raises a `ValueError` that says in what two evaluations differ, if their scores do not
    stand for the same task: classes, ignore label, images, label maps and protocol."""
    first = runs[0]
    for other in runs[1:]:
        difference = _difference(first, other)
        if difference is None and not any_protocol and first.protocol != other.protocol:
            difference = f"protocols: {_unequal(first.protocol, other.protocol)}"
            hint = "; --any-protocol compares them all the same"
        else:
            hint = ""
        if difference:
            raise ValueError(
                f"{first.path} and {other.path} cannot be compared, they differ in their "
                f"{difference}{hint}"
            )


def _difference(first: ScoredRun, other: ScoredRun) -> str | None:
    if first.class_names != other.class_names:
        return f"classes: {', '.join(first.class_names)} and {', '.join(other.class_names)}"
    if first.ignore_label != other.ignore_label:
        return f"ignore label: {first.ignore_label} and {other.ignore_label}"
    if first.images != other.images:
        if set(first.images) == set(other.images):
            return "order of the images"
        only = [sorted(set(a.images) - set(b.images)) for a, b in ((first, other), (other, first))]
        examples = " and ".join(repr(names[0]) if names else "none" for names in only)
        return (
            f"images: {len(first.images)} and {len(other.images)}, of which {len(only[0])} and "
            f"{len(only[1])} are in one alone, such as {examples}"
        )
    wrong = (first.sizes != other.sizes).any(axis=1)
    wrong |= (first.counts.labelled != other.counts.labelled).any(axis=1)
    if wrong.any():
        return f"label maps: {wrong.sum()} of them, such as {first.images[wrong.argmax()]!r}"
    return None


def _unequal(first: dict, other: dict) -> str:
    keys = [key for key in {**first, **other} if first.get(key) != other.get(key)]
    return ", ".join(f"{key} {first.get(key)} and {other.get(key)}" for key in keys)
