"""A progress bar for loops over images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(
    items: Iterable[Item], what: str, total: int | None, show: bool, unit: str | None = None
) -> Iterator[Item]:
    """Yields `items`, with a bar in the terminal if `show`.

    Args:
        items: what to go through.
        what: the word in front of the bar.
        total: how many there are; None or a negative number where nobody knows.
        show: whether to draw anything.
        unit: of the throughput beside the bar, as in "frames/s"; None shows none.
    """
    if not show:
        yield from items
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Throughput(ProgressColumn):
        def render(self, task):
            return Text(f"{task.finished_speed or task.speed or 0:.1f} {unit}")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *([Throughput()] if unit else []),
    )
    with Progress(*columns) as bar:
        known = total if total is not None and total >= 0 else None
        yield from bar.track(items, total=known, description=what)
