"""Line charts as inline SVG: no script, no font, no file beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from markupsafe import Markup

# Drawn for a phone's width, so that letters stay readable there.
WIDTH, HEIGHT = 340.0, 216.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 10.0, 10.0, 38.0


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: in the legend.
        x: (points,).
        y: (points,); NaN leaves a gap.
        band: (points, 2) lower and upper end of an interval around it, or None.
        color: which of the page's chart colours, 0 to 3.
        dashed: drawn with dashes, and without marks.
        marks: a dot at each point; good for few points.
        joined: whether neighbouring points are joined; not where they are no sequence.
    """

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    band: np.ndarray | None = None
    color: int = 0
    dashed: bool = False
    marks: bool = False
    joined: bool = True


def line_chart(
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    y_limits: tuple[float | None, float | None] = (None, None),
    x_limits: tuple[float, float] | None = None,
) -> Markup:
    """Draws curves on shared axes, with a legend where there are several.

    Args:
        lines: at least one with a point.
        x_title: below the axis.
        y_title: also what a screen reader says.
        y_limits: lower and upper end of the axis; None fits the points.
        x_limits: ends of the axis; None fits the points.

    Returns:
        An `<svg>` as wide as its place, and a legend.
    """
    from markupsafe import Markup, escape

    xs = np.concatenate([np.asarray(line.x, float) for line in lines])
    ys = [np.asarray(line.y, float) for line in lines]
    ys += [np.asarray(line.band, float).ravel() for line in lines if line.band is not None]
    heights = np.concatenate(ys)
    low_x, high_x = x_limits or (float(xs.min()), float(xs.max()))
    low_y, high_y = _range(heights[np.isfinite(heights)], y_limits)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(x):
        return LEFT + (np.asarray(x, float) - low_x) / ((high_x - low_x) or 1) * (right - LEFT)

    def down(y):
        return bottom - (np.asarray(y, float) - low_y) / ((high_y - low_y) or 1) * (bottom - TOP)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="{escape(y_title)} by {escape(x_title)}">'
    ]
    for tick in _ticks(low_y, high_y):
        y = float(down(tick))
        parts.append(f'<line class="rule" x1="{LEFT:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6:g}" y="{y + 4:.1f}">{tick:g}</text>')
    for tick in _ticks(low_x, high_x):
        x = float(across(tick))
        parts.append(f'<text class="mid" x="{x:.1f}" y="{bottom + 15:g}">{tick:g}</text>')
    parts.append(
        f'<text class="mid title" x="{(LEFT + right) / 2:g}" y="{HEIGHT - 6:g}">'
        f"{escape(x_title)}</text>"
    )
    for line in lines:
        x, y = across(line.x), down(line.y)
        if line.band is not None:
            edges = down(np.asarray(line.band, float))
            known = np.isfinite(edges).all(axis=1)
            there = _points(x[known], edges[known, 1])
            back = _points(x[known][::-1], edges[known, 0][::-1])
            parts.append(f'<polygon class="band c{line.color}" points="{there} {back}"/>')
        style = f"curve c{line.color}{' dashed' if line.dashed else ''}"
        for run in _runs(np.isfinite(y)) if line.joined else ():
            parts.append(f'<polyline class="{style}" points="{_points(x[run], y[run])}"/>')
        if line.marks:
            for at, height, value in zip(x, y, line.y, strict=True):
                if math.isfinite(height):
                    parts.append(
                        f'<circle class="mark c{line.color}" cx="{at:.1f}" cy="{height:.1f}" '
                        f'r="2.6"><title>{escape(line.name)}: {value:.4g}</title></circle>'
                    )
    parts.append("</svg>")
    if len(lines) > 1:
        keys = "".join(
            f'<span><i class="key c{line.color}{" dashed" if line.dashed else ""}"></i>'
            f"{escape(line.name)}</span>"
            for line in lines
        )
        parts.append(f'<div class="legend">{keys}</div>')
    return Markup("".join(parts))


def _range(values: np.ndarray, limits: tuple[float | None, float | None]) -> tuple[float, float]:
    low, high = limits
    if values.size:
        room = 0.06 * float(np.ptp(values)) or 0.06 * abs(float(values.max())) or 1.0
        low = float(values.min()) - room if low is None else low
        high = float(values.max()) + room if high is None else high
    return (low or 0.0), (1.0 if high is None else high)


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within the range: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _runs(known: np.ndarray) -> list[slice]:
    """The stretches of neighbouring points that are all there."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
