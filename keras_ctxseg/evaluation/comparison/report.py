"""A comparison as one HTML file, with pictures of the images on which networks disagree most."""

from __future__ import annotations

import datetime
import importlib.resources
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.evaluation.comparison.result import Comparison, Estimate
from keras_ctxseg.evaluation.comparison.table import GAIN_TITLES, TITLES, gain, percent, seeds_note
from keras_ctxseg.evaluation.report_pictures import comparison_pictures
from keras_ctxseg.evaluation.size_batches import example_name
from keras_ctxseg.pages.page import render_page

TEMPLATE = "comparison.html.j2"


def write_comparison(
    comparison: Comparison,
    path: str | os.PathLike,
    palette: np.ndarray | None = None,
    disputed: Sequence[DisputedImage] = (),
    facts: Mapping[str, object] | None = None,
    title: str = "Comparison",
    most: int = 12,
) -> Path:
    """Writes a self-contained page: verdicts, scores, differences, classes, disputed images.

    Args:
        comparison: what `compare` found.
        path: of the HTML file; folders are made where missing.
        palette: uint8 (classes, 3) RGB; a default one where missing.
        disputed: images to show side by side, as `disputed_images` returns them.
        facts: what to say about it, such as the command, by its name. The day is added.
        title: the heading.
        most: rows in the list of disputed images.

    Returns:
        The path.
    """
    now = datetime.datetime.now().astimezone()
    if palette is None:
        palette = default_palette(len(comparison.class_names))
    baseline = comparison.groups[0].name
    html = render_page(
        importlib.resources.files(__package__).joinpath(TEMPLATE),
        title=title,
        comparison=comparison,
        baseline=baseline,
        scores=_rows([(g.name, g.scores["mean_iou"]) for g in comparison.groups], percent),
        pairs=_rows(
            [(f"{p.other} − {p.baseline}", p.scores["mean_iou"]) for p in comparison.pairs],
            gain,
            zero=True,
        ),
        classes=[
            (
                pair.other,
                _rows(
                    list(zip(comparison.class_names, pair.class_iou, strict=True)), gain, zero=True
                ),
            )
            for pair in comparison.pairs
            if pair.baseline == baseline
        ],
        titles=list(TITLES.values()),
        gain_titles=list(GAIN_TITLES.values()),
        keys=list(TITLES),
        percent_text=percent,
        gain_text=gain,
        disputed_rows=[
            (comparison.images[place], [percent(g.image_iou[place]) for g in comparison.groups])
            for place in comparison.most_disputed(most)
        ],
        disputed=[
            {
                "name": one.name,
                "pictures": comparison_pictures(
                    one.image,
                    one.label,
                    one.predictions,
                    palette,
                    comparison.groups[0].runs[0].ignore_label,
                ),
            }
            for one in disputed
        ],
        legend=[
            {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*map(int, color))}
            for name, color in zip(comparison.class_names, palette, strict=True)
        ],
        level=f"{100 * comparison.level:g} %",
        note=seeds_note(comparison),
        facts={**(facts or {}), "Written": now.strftime("%Y-%m-%d %H:%M %Z")},
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return path


def _rows(named: Sequence[tuple[str, Estimate]], text, zero: bool = False) -> list[dict[str, Any]]:
    """Places of intervals on one shared axis, 0 ... 100."""
    ends = np.array([(one.low, one.high, one.value) for _, one in named]).ravel()
    ends = np.append(ends[np.isfinite(ends)], [0.0] if zero else [])
    low, high = (ends.min(), ends.max()) if ends.size else (0.0, 1.0)
    room = 0.04 * (high - low) or 0.01
    low, high = low - room, high + room

    def place(value: float) -> float | None:
        return None if np.isnan(value) else round(100 * float((value - low) / (high - low)), 3)

    return [
        {
            "name": name,
            "value": place(one.value),
            "low": place(one.low),
            "high": place(one.high),
            "zero": place(0.0) if zero else None,
            "decided": one.decided and zero,
            "better": one.value > 0,
            "text": text(one.value),
            "interval": f"{text(one.low)} … {text(one.high)}",
        }
        for name, one in named
    ]


Label = Callable[[np.ndarray, tuple[int, int], str], np.ndarray]


@dataclass(eq=False)
class DisputedImage:
    """One image with its label map and everybody's prediction.

    Attributes:
        name: the image's name.
        image: (image_height, image_width, 3) uint8 RGB, as the first network saw it.
        label: (height, width) int32 class ids.
        predictions: (height, width) int32 class ids, by the name of the group.
    """

    name: str
    image: np.ndarray
    label: np.ndarray
    predictions: dict[str, np.ndarray] = field(default_factory=dict)


def disputed_images(
    names: Sequence[str],
    networks: Mapping[str, tuple[Label, Iterable[Mapping[str, Any]]]],
) -> list[DisputedImage]:
    """Predicts some images again, by each network.

    Args:
        names: of the images.
        networks: by the group's name: a function from image, size and name to class ids, such as
            `Predictor.label`, and the examples to look for the images in.

    Returns:
        The images that all networks' examples hold, in the order of `names`.
    """
    found: dict[str, DisputedImage] = {}
    for group, (label_image, examples) in networks.items():
        missing = set(names)
        for raw in examples:
            name = example_name(raw)
            if name in missing:
                missing.remove(name)
                image = np.asarray(raw["image"], np.float32)
                label = np.asarray(raw["label"], np.int32)
                if name not in found:
                    shown = np.clip(np.round(image), 0, 255).astype(np.uint8)
                    found[name] = DisputedImage(name, shown, label)
                found[name].predictions[group] = label_image(image, label.shape, name)
            if not missing:
                break
    seen = [found[name] for name in names if name in found]
    return [one for one in seen if len(one.predictions) == len(networks)]
