"""What is known of each trial, in one plain record, whatever Optuna keeps it in."""

from __future__ import annotations

import functools
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keras_ctxseg.search.topology import Topology, topology_from_options

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Outcome = Literal["finished", "stopped", "failed", "running", "waiting"]
CURVE, COST, PARAMETERS, TOPOLOGY, REASON, SECONDS, ORIGIN = (
    "curve", "multiply_adds", "parameters", "topology", "reason", "seconds", "origin",
)  # fmt: skip


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Attributes:
        slot: which of the wanted trials, from 0 on.
        number: Optuna's; a slot that was tried again has a later one.
        outcome: `finished` has a score, `stopped` was given up early, `failed` is a network that
            could not be trained.
        mean_iou: of the last validation, in 0...1; of a stopped trial the one that it fell behind
            with.
        multiply_adds, parameters: by arithmetic; None before they are known.
        curve: validation mIoU by epochs.
        topology: None before it is known.
        origin: the warm start that it is, its file's name without the ending; or "".
        seconds: that it took.
        reason: why it was stopped or failed, or "".
        genes: by name.
    """

    slot: int
    number: int
    outcome: Outcome
    mean_iou: float | None
    multiply_adds: int | None
    parameters: int | None
    curve: dict[int, float]
    topology: Topology | None
    origin: str
    seconds: float | None
    reason: str
    genes: dict[str, Any]


def record_of(trial: FrozenTrial) -> TrialRecord:
    """A trial of the study as a record."""
    from keras_ctxseg.search.ledger import SLOT

    notes = trial.user_attrs
    curve = {int(epoch): float(value) for epoch, value in notes.get(CURVE, ())}
    outcomes: dict[str, Outcome] = {
        "COMPLETE": "finished",
        "PRUNED": "stopped",
        "FAIL": "failed",
        "RUNNING": "running",
        "WAITING": "waiting",
    }
    score = trial.values[0] if trial.values else curve[max(curve)] if curve else None
    options = notes.get(TOPOLOGY)
    lost = "its worker was lost" if trial.state.name == "FAIL" else ""
    return TrialRecord(
        slot=notes[SLOT],
        number=trial.number,
        outcome=outcomes[trial.state.name],
        mean_iou=score,
        multiply_adds=notes.get(COST),
        parameters=notes.get(PARAMETERS),
        curve=curve,
        topology=None if options is None else _topology(json.dumps(options)),
        origin=notes.get(ORIGIN, ""),
        seconds=notes.get(SECONDS),
        reason=notes.get(REASON, lost),
        genes=dict(trial.params),
    )


@functools.lru_cache(maxsize=4096)
def _topology(options: str) -> Topology:
    """Read once: a search looks at all its trials all the time."""
    return topology_from_options(json.loads(options))


def pareto_front(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The finished trials that no other beats in one objective and equals in the other.

    Returns:
        From the cheapest, which scores least, to the best.
    """
    front: list[TrialRecord] = []
    finished = [r for r in records if r.outcome == "finished" and r.multiply_adds is not None]
    for record in sorted(finished, key=lambda r: (r.multiply_adds or 0, -(r.mean_iou or 0.0))):
        if not front or (record.mean_iou or 0.0) > (front[-1].mean_iou or 0.0):
            front.append(record)
    return front


@dataclass(frozen=True)
class Confirmation:
    """A trial's network, trained again with other seeds than the search's own.

    Attributes:
        record: the search's trial.
        scores: mIoU of the last validation, in 0...1, by seed. The search's own seed is not among
            them: the network was chosen by that score, so it flatters.
    """

    record: TrialRecord
    scores: dict[int, float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores.values())

    @property
    def deviation(self) -> float | None:
        """The sample's standard deviation; None with one seed."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else None


def seeds_of(confirmations: Sequence[Confirmation]) -> list[int]:
    """All seeds that any of them was trained with."""
    return sorted({seed for each in confirmations for seed in each.scores})


@dataclass(frozen=True)
class SearchResult:
    """What a search knows so far.

    Attributes:
        directory: the search's folder.
        wanted: trials that it should finish.
        records: those that are done, in the order of their slots.
        confirmations: what `confirm` has trained again, the best mean first.
    """

    directory: Path
    wanted: int
    records: tuple[TrialRecord, ...]
    confirmations: tuple[Confirmation, ...] = ()

    @property
    def front(self) -> list[TrialRecord]:
        """See `pareto_front`."""
        return pareto_front(self.records)

    @property
    def is_complete(self) -> bool:
        return len(self.records) >= self.wanted
