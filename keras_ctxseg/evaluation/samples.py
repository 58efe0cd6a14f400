"""Images of an evaluation for people to look at: samples of a report, models side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.image_reading import rgb_of
from keras_ctxseg.data.palettes import colorize
from keras_ctxseg.evaluation.evaluator import Evaluator
from keras_ctxseg.evaluation.result import EvaluationResult
from keras_ctxseg.evaluation.scored_images import ImageScore
from keras_ctxseg.evaluation.size_batches import example_name
from keras_ctxseg.labels.panoptic import class_ids


@dataclass(frozen=True)
class ReportSample:
    """One image with its label map and its prediction.

    Attributes:
        score: the image's scores.
        image: (image_height, image_width, 3) uint8 RGB, as the model saw it.
        label: (height, width) int32 class ids.
        prediction: (height, width) int32 class ids.
        true_segments, segments: (height, width) int32 panoptic label maps, where instances are
            told apart.
    """

    score: ImageScore
    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    true_segments: np.ndarray | None = None
    segments: np.ndarray | None = None


def report_samples(
    evaluator: Evaluator,
    examples: Iterable[Mapping[str, Any]],
    result: EvaluationResult,
    count: int = 6,
    show: tuple[int, int, int] | None = None,
) -> tuple[list[ReportSample], list[ReportSample]]:
    """Predicts the worst and the best images again, for a report.

    Args:
        evaluator: what made `result`.
        examples: the same examples; they are read once more.
        result: of the evaluation.
        count: how many images of each kind. No image is in both lists: of a small set, the worst
            half at most is worst.
        show: the channels that pictures show, from 1; by default the first three.

    Returns:
        `(worst, best)`: the worst ones worst first, the best ones best first.
    """
    ranked = result.ranked()
    worst = ranked[: min(count, (len(ranked) + 1) // 2)]
    best = ranked[::-1][: min(count, len(ranked) // 2)]
    wanted = {score.name: score for score in worst + best}
    found: dict[str, ReportSample] = {}
    for raw in examples:
        name = example_name(raw)
        if name not in wanted or name in found:
            continue
        image = np.asarray(raw["image"], np.float32)
        given = np.asarray(raw["label"], np.int32)
        label = class_ids(given)
        prediction = evaluator.predict(image, label.shape, name)
        shown = rgb_of(np.clip(np.round(image), 0, 255).astype(np.uint8), show)
        instances = {}
        if evaluator.thing_classes:
            instances["true_segments"] = given
            instances["segments"] = evaluator.predict_segments(image, label.shape, name)
        found[name] = ReportSample(wanted[name], shown, label, prediction, **instances)
        if len(found) == len(wanted):
            break
    return (
        [found[score.name] for score in worst if score.name in found],
        [found[score.name] for score in best if score.name in found],
    )


def draw_side_by_side(
    examples: Iterable[Mapping[str, Any]],
    evaluators: Mapping[str, Evaluator],
    palette: np.ndarray,
    class_names: Sequence[str],
    path: str | Path,
) -> Path:
    """Draws a row for each example: image, truth, and every model's prediction; below, the colours.

    Args:
        examples: few of them, as `ctx.data.evaluation_examples` gives them.
        evaluators: of the models to compare, by the title of their column.
        palette: uint8 `(classes, 3)` RGB.
        class_names: one name a class.
        path: of the picture; its ending tells the format (`.png`, `.svg`, ...).

    Returns:
        `path`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = []
    for example in examples:
        image = np.asarray(example["image"], np.float32)
        label = np.asarray(example["label"], np.int32)
        name = example_name(example)
        maps = [label, *(one.predict(image, label.shape, name) for one in evaluators.values())]
        shown = rgb_of(np.clip(image, 0, 255).astype(np.uint8))
        rows.append([shown, *(colorize(ids, palette) for ids in maps)])
    titles = ["image", "truth", *evaluators]
    height, width = rows[0][0].shape[:2]
    column = 2.6  # inches
    figure = Figure(figsize=(column * len(titles), column * height / width * len(rows) + 0.9))
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for line, pictures in zip(axes, rows, strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    patches = [
        Patch(
            facecolor="#{:02x}{:02x}{:02x}".format(*color),
            edgecolor="black",
            linewidth=0.3,
            label=name,
        )
        for color, name in zip(palette, class_names, strict=True)
    ]
    figure.legend(handles=patches, ncols=min(len(patches), 12), loc="lower center", fontsize=8)
    figure.subplots_adjust(
        left=0.005,
        right=0.995,
        top=1 - 0.3 / figure.get_figheight(),
        wspace=0.03,
        hspace=0.03,
        bottom=0.45 / figure.get_figheight(),
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
