"""The search as it goes: a table in a terminal, a line a trial elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_ctxseg.search.records import TrialRecord, pareto_front

if TYPE_CHECKING:
    from rich.table import Table

_NEWEST = 10


class LiveTable:
    """Shows the newest trials and the best ones; for a `with` block.

    Args:
        name: of the search.
        wanted: trials in all.
        say: takes lines where standard output is no terminal.
    """

    def __init__(self, name: str, wanted: int, say: Callable[[str], None] = print):
        self.name = name
        self.wanted = wanted
        self._say = say
        self._live: Any = None
        self._told: set[int] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> LiveTable:
        from rich.console import Console
        from rich.live import Live

        console = Console()
        if console.is_terminal:
            self._live = Live(console=console, refresh_per_second=2, transient=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line above the table."""
        if self._live is None:
            self._say(line)
        else:
            self._live.console.print(line, highlight=False, markup=False)

    def show(self, all_trials: Sequence[TrialRecord], done: Sequence[TrialRecord]) -> None:
        """Brings it up to date.

        Args:
            all_trials: every attempt, those of other workers too.
            done: those that count.
        """
        with self._lock:
            if self._live is not None:
                self._live.update(self.render(all_trials, done))
                return
            first = self._told is None
            told = self._told = self._told or set()
            new = [each for each in done if each.number not in told]
            told.update(each.number for each in new)
            if first and new:
                self._say(f"Going on: {len(new)} of {self.wanted} trials are done.")
                return
            for each in new:
                self._say(f"{len(told):4d}/{self.wanted}  {line_of(each)}")

    def render(self, all_trials: Sequence[TrialRecord], done: Sequence[TrialRecord]) -> Table:
        """The table: the Pareto front, then the newest trials."""
        from rich.table import Table

        counts = {
            kind: sum(each.outcome == kind for each in done)
            for kind in ("finished", "stopped", "failed")
        }
        running = [each for each in all_trials if each.outcome == "running"]
        table = Table(
            title=f"{self.name}: {len(done)} of {self.wanted} trials, "
            + ", ".join(f"{count} {kind}" for kind, count in counts.items())
            + f", {len(running)} running",
            title_justify="left",
        )
        table.add_column("trial", justify="right")
        table.add_column("state")
        for heading in ("mIoU %", "GMAC", "M params", "seconds"):
            table.add_column(heading, justify="right")
        table.add_column("blocks used, origin, reason")
        front = pareto_front(done)
        for each in front:
            table.add_row(*_cells(each, "best"), style="bold green")
        if front:
            table.add_section()
        best = {each.number for each in front}
        newest = sorted(done, key=lambda each: each.number)[-_NEWEST:]
        for each in [*newest, *running]:
            table.add_row(*_cells(each, "best" if each.number in best else each.outcome))
        return table


def line_of(record: TrialRecord) -> str:
    """One trial in one line."""
    number, state, score, cost, parameters, seconds, rest = _cells(record, record.outcome)
    return (
        f"trial {number}  {state:8s}  mIoU {score:>5s} %  {cost:>6s} GMAC  {parameters:>6s} M  "
        f"{seconds:>6s} s  {rest}"
    ).rstrip()


def _cells(record: TrialRecord, state: str) -> tuple[str, ...]:
    used = "" if record.topology is None else f"{len(record.topology.used_nodes) - 2} blocks"
    words = [word for word in (used, record.origin, record.reason[:160]) if word]
    return (
        str(record.number),
        state,
        "–" if record.mean_iou is None else f"{100 * record.mean_iou:.1f}",
        "–" if record.multiply_adds is None else f"{record.multiply_adds / 1e9:.2f}",
        "–" if record.parameters is None else f"{record.parameters / 1e6:.2f}",
        "–" if record.seconds is None else f"{record.seconds:.0f}",
        ", ".join(words),
    )
