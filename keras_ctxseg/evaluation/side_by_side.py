"""One picture of what several models make of the same images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.palettes import colorize
from keras_ctxseg.evaluation.evaluator import Evaluator
from keras_ctxseg.evaluation.size_batches import example_name


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
        shown = np.clip(image, 0, 255).astype(np.uint8)
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
