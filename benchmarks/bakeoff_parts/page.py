"""The page: its words stay, its tables and plots are made anew from what was kept."""

from __future__ import annotations

import re
from pathlib import Path

from adjustText import adjust_text

from bakeoff_parts import tables
from bakeoff_parts.plan import Plan
from bakeoff_parts.systems import Results, gather

_BLOCK = re.compile(
    r"(<!-- begin (?P<name>[\w-]+) -->\n).*?(<!-- end (?P=name) -->)", flags=re.DOTALL
)


def rebuild(plan: Plan, kept: Path, page: Path) -> None:
    """Fills the block `<!-- begin DATA -->` to `<!-- end DATA -->` of each data set.

    Raises:
        ValueError: as `read`.
    """
    text = read(plan, page)
    page.write_text(
        _BLOCK.sub(lambda m: m[1] + _block(plan, m["name"], kept, page.parent) + m[3], text),
        encoding="utf-8",
    )


def read(plan: Plan, page: Path) -> str:
    """The page as it is.

    Raises:
        ValueError: no such file, no block in it, or one of a data set that the plan does not have.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else None
    names = [match["name"] for match in _BLOCK.finditer(text or "")]
    unknown = sorted(set(names) - set(plan.data))
    if text is None or unknown or not names:
        found = "no such file" if text is None else ", ".join(unknown) or "none"
        raise ValueError(
            f"{page}: expected blocks from `<!-- begin DATA -->` to `<!-- end DATA -->` with DATA "
            f"one of {', '.join(plan.data)}. Found {found}"
        )
    return text


def _block(plan: Plan, data: str, kept: Path, beside: Path) -> str:
    results = gather(plan, data, kept)
    parts = [tables.missing(results)]
    if results.systems:
        parts += [tables.score_table(results), _plot(results, kept / f"{data}.svg", beside)]
    if plan.data[data].pairs:
        parts.append(tables.pair_table(results, plan.data[data]))
    if results.systems:
        parts += [
            tables.advice(results),
            tables.question_table(results, plan.data[data]),
            tables.class_table(results),
        ]
    picture = kept / f"{data}.png"
    if picture.is_file():
        parts.append(f"![Where the systems differ]({picture.relative_to(beside)})")
    return "\n\n".join(part for part in parts if part) + "\n"


def _plot(results: Results, path: Path, beside: Path) -> str:
    """mIoU against latency where one processor timed all systems, else against arithmetic."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    systems = results.systems
    times = results.milliseconds("saved_model")
    across = [times[one.recipe] if times else one.giga for one in systems]
    title = "fastest call as exported, ms" if times else "10⁹ multiply-adds"
    with rc_context({"svg.hashsalt": path.stem}):  # the same file from the same figures
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        names = []
        for one, x in zip(systems, across, strict=True):
            score = results.scores[one.recipe].mean
            ends = [[100 * (score.value - score.low)], [100 * (score.high - score.value)]]
            axes.errorbar(x, 100 * score.value, yerr=ends, fmt="o", capsize=2, linewidth=0.8)
            names.append(axes.text(x, 100 * score.value, one.recipe, fontsize=7))
        axes.set_xlim(0, 1.25 * max(across))  # room for the names
        axes.set_xlabel(title)
        axes.set_ylabel("mIoU, % (bars: 95 % interval)")
        axes.grid(alpha=0.3)
        figure.draw_without_rendering()  # names are moved by their size, which the layout decides
        adjust_text(
            names,
            ax=axes,
            expand=(1.15, 1.5),
            iter_lim=500,
            arrowprops={"arrowstyle": "-", "color": "grey", "lw": 0.4},
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    return f"![mIoU against cost]({path.relative_to(beside)})"
