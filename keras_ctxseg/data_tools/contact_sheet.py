"""Pictures of what a network will see: examples in several epochs, labels over them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.palettes import LINE, instance_contours, overlay
from keras_ctxseg.data.pipeline import TrainPipeline
from keras_ctxseg.labels.panoptic import class_ids

IGNORED = np.array([225, 0, 160], np.uint8)
_STRIPES = 70  # along a picture's shorter side
_CELL_INCHES, _DPI, _COLUMNS = 4.6, 100, 3


@dataclass(frozen=True)
class SheetRow:
    """One example: its name, and `(title, image, label)` of each of its pictures."""

    name: str
    cells: Sequence[tuple[str, np.ndarray, np.ndarray]]


def raw_rows(pipeline: TrainPipeline, count: int) -> list[SheetRow]:
    """Examples as the data set has them, evenly spread over the split."""
    reader = pipeline.dataset.reader(pipeline.split)
    rows = []
    for index in _spread(len(reader), count):
        example = {key: value.numpy() for key, value in reader.read(index).items()}
        name = example["name"].decode()
        image = pipeline.dataset.reading.shown(example["image"])
        rows.append(SheetRow(name, [("as it is", image, example["label"])]))
    return rows


def augmented_rows(pipeline: TrainPipeline, count: int, epochs: int) -> list[SheetRow]:
    """The same examples as they are, and as the stream shows them in its first epochs."""
    indices = _spread(pipeline.dataset.splits[pipeline.split], count)
    numbers = [pipeline.number_of(index, epoch) for index in indices for epoch in range(epochs)]
    stream = tf.data.Dataset.from_tensor_slices(numbers).map(pipeline.example)
    shown = pipeline.dataset.reading.shown
    seen = ((shown(image), label) for image, label in stream.as_numpy_iterator())
    return [
        SheetRow(raw.name, [*raw.cells, *((f"epoch {n + 1}", *next(seen)) for n in range(epochs))])
        for raw in raw_rows(pipeline, count)
    ]


def write_sheet(
    rows: Sequence[SheetRow],
    path: str | Path,
    palette: np.ndarray,
    class_names: Sequence[str],
    ignore_label: int,
    title: str = "",
) -> Path:
    """Draws image and labels side by side, a row for each example, and a legend.

    Ignored pixels are striped. The legend has the classes that occur.

    Args:
        rows: what to draw; rows of one picture each are set next to each other.
        path: a picture (`.png`, `.jpg`, `.svg`, `.pdf`) or, with a picture for each row, `.html`.
        palette: uint8 `(classes, 3)` RGB.
        class_names: one name a class.
        ignore_label: the id of ignored pixels.
        title: stands above an HTML page.

    Returns:
        `path`.

    Raises:
        ValueError: an ending that cannot be written.
    """
    path = Path(path)
    known = (".html", ".png", ".jpg", ".svg", ".pdf")
    if path.suffix.lower() not in known:
        raise ValueError(f"`path`: expected an ending of {', '.join(known)}. Received: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = palette, class_names, ignore_label
    if path.suffix.lower() != ".html":
        _draw(rows, *classes).savefig(path, dpi=_DPI)
        return path
    pictures = []
    for row in rows:
        buffer = io.BytesIO()
        _draw([row], *classes).savefig(buffer, format="png", dpi=_DPI)
        uri = base64.b64encode(buffer.getvalue()).decode()
        pictures.append(f'<h2>{html.escape(row.name)}</h2><img src="data:image/png;base64,{uri}">')
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
        "<style>body{font-family:sans-serif} img{max-width:100%}</style>"
        f"<h1>{html.escape(title)}</h1>{''.join(pictures)}",
        encoding="utf-8",
    )
    return path


def draw_labels(
    image: np.ndarray, label: np.ndarray, palette: np.ndarray, ignore_label: int
) -> np.ndarray:
    """`palettes.overlay` with stripes where pixels are ignored: uint8 `(height, width, 3)`."""
    picture = overlay(image, class_ids(label), palette, opacity=0.55)
    period = max(2, min(label.shape) // _STRIPES)
    rows, columns = np.indices(label.shape)
    striped = (class_ids(label) == ignore_label) & ((rows + columns) // period % 3 == 0)
    picture[striped] = IGNORED
    picture[instance_contours(label)] = LINE
    return picture


def _draw(rows, palette, class_names, ignore_label):
    from matplotlib.figure import Figure

    if all(len(row.cells) == 1 for row in rows):
        cells = [(row.name, *row.cells[0][1:]) for row in rows]
        grid = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    else:
        grid = [
            [(f"{row.name}, {title}" if title == "as it is" else title, image, label)
             for title, image, label in row.cells]
            for row in rows
        ]  # fmt: skip
    columns = max(len(line) for line in grid)
    heights = [max(image.shape[0] / image.shape[1] for _, image, _ in line) / 2 for line in grid]
    legend = _legend(grid, palette, class_names, ignore_label)
    legend_rows = -(-len(legend) // (4 * columns))
    bottom, line_gap = 0.15 + 0.22 * legend_rows, 0.26
    height = _CELL_INCHES * sum(heights) + line_gap * len(grid) + bottom
    figure = Figure(figsize=(_CELL_INCHES * columns, height))
    axes = figure.subplots(
        len(grid), columns, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for line, pictures in zip(axes, grid, strict=True):
        for axis, (title, image, label) in zip(line, pictures, strict=False):
            shown = np.clip(np.round(image), 0, 255).astype(np.uint8)
            labels = draw_labels(shown, label, palette, ignore_label)
            axis.imshow(np.concatenate([shown, labels], 1), interpolation="antialiased")
            axis.set_title(title, fontsize=9, pad=3)
    figure.legend(handles=legend, ncols=4 * columns, loc="lower center", fontsize=8, frameon=False)
    figure.subplots_adjust(
        left=0.005, right=0.995, wspace=0.02, hspace=line_gap * len(grid) / height,
        bottom=bottom / height, top=1 - line_gap / height,
    )  # fmt: skip
    return figure


def _legend(grid, palette, class_names, ignore_label):
    from matplotlib.colors import to_hex
    from matplotlib.patches import Patch

    ids = np.unique(
        [id for line in grid for *_, label in line for id in np.unique(class_ids(label))]
    )
    patches = [
        Patch(facecolor=to_hex(palette[id] / 255), edgecolor="black", linewidth=0.3,
              label=class_names[id])
        for id in ids if id < len(class_names) and id != ignore_label
    ]  # fmt: skip
    if ignore_label in ids:
        patches.append(
            Patch(facecolor="white", edgecolor=to_hex(IGNORED / 255), hatch="////", label="ignored")
        )
    return patches


def _spread(total: int, count: int) -> list[int]:
    """`count` indices below `total`, evenly spread, each once."""
    count = min(count, total)
    return [index * total // count for index in range(count)]
