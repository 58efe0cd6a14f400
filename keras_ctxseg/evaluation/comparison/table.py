"""A comparison as text."""

from __future__ import annotations

import math

from keras_ctxseg.evaluation.comparison.result import Comparison, Estimate

TITLES = {
    "mean_iou": "mIoU %",
    "pixel_accuracy": "pixel acc. %",
    "mean_accuracy": "mean acc. %",
    "mean_precision": "mean prec. %",
    "mean_f1": "mean F1 %",
    "frequency_weighted_iou": "fw IoU %",
    "mean_image_iou": "image mIoU %",
}
GAIN_TITLES = {key: title.removesuffix(" %") for key, title in TITLES.items()}


def comparison_table(comparison: Comparison, disputed: int = 5) -> str:
    """Scores, differences with intervals, gains by class and the most disputed images."""
    level = f"{100 * comparison.level:g} %"
    blocks = [_scores(comparison, level), _pairs(comparison, level), _classes(comparison)]
    if disputed:
        blocks.append(_disputed(comparison, disputed))
    blocks.append(
        f"{comparison.drawing}; {level} intervals, each for itself.\n{seeds_note(comparison)}"
    )
    return "\n\n".join(blocks)


def seeds_note(comparison: Comparison) -> str:
    """What the intervals cover, in a sentence."""
    single = [group.name for group in comparison.groups if len(group.runs) == 1]
    if not single:
        return "Intervals cover the choice of the images and of the seeds."
    if len(single) == len(comparison.groups):
        return (
            "Intervals cover the choice of the images. They say which of these networks is better, "
            "not which recipe: each was trained once."
        )
    return (
        "Intervals cover the choice of the images and, where there are several runs, of the "
        f"seeds. Trained once only: {', '.join(single)}."
    )


def _scores(comparison: Comparison, level: str) -> str:
    head = ["", "runs", "mIoU %", f"{level} interval", *list(TITLES.values())[1:]]
    rows = []
    for group in comparison.groups:
        runs, spread = len(group.runs), group.spread["mean_iou"]
        first = group.scores["mean_iou"]
        rows.append(
            [
                group.name,
                str(runs),
                percent(first.value) + ("" if runs == 1 else f" ± {percent(spread)}"),
                f"{percent(first.low)} ... {percent(first.high)}",
                *(percent(group.scores[key].value) for key in list(TITLES)[1:]),
            ]
        )
    return _grid(head, rows)


def _pairs(comparison: Comparison, level: str) -> str:
    head = ["difference", "mIoU", f"{level} interval", *list(GAIN_TITLES.values())[1:], ""]
    rows = [
        [
            f"{pair.other} - {pair.baseline}",
            gain(pair.scores["mean_iou"].value),
            f"{gain(pair.scores['mean_iou'].low)} ... {gain(pair.scores['mean_iou'].high)}",
            *(starred(pair.scores[key]) for key in list(TITLES)[1:]),
            f"  {pair.verdict}",
        ]
        for pair in comparison.pairs
    ]
    return _grid(head, rows, left=(0, len(head) - 1))


def _classes(comparison: Comparison) -> str:
    baseline = comparison.groups[0]
    against = [pair for pair in comparison.pairs if pair.baseline == baseline.name]
    head = ["class IoU %", baseline.name, *(f"{pair.other}" for pair in against)]
    rows = [
        [
            name,
            percent(baseline.class_iou[k].value),
            *(starred(pair.class_iou[k]) for pair in against),
        ]
        for k, name in enumerate(comparison.class_names)
    ]
    note = f"Gains over {baseline.name}; * where the interval leaves out zero."
    return _grid(head, rows) + "\n" + note


def _disputed(comparison: Comparison, count: int) -> str:
    head = ["most disputed images, mIoU %", *(group.name for group in comparison.groups)]
    rows = [
        [comparison.images[place], *(percent(g.image_iou[place]) for g in comparison.groups)]
        for place in comparison.most_disputed(count)
    ]
    return _grid(head, rows)


def percent(value: float) -> str:
    """A share as percent; "-" where there is none."""
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def gain(value: float) -> str:
    """A difference of shares in points, with its sign."""
    return "-" if math.isnan(value) else f"{100 * value:+.2f}"


def starred(estimate: Estimate) -> str:
    """A difference in points; a star where its sign is sure."""
    return gain(estimate.value) + ("*" if estimate.decided else " ")


def _grid(head: list[str], rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
