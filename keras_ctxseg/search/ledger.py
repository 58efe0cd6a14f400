"""Who runs which trial: each of the wanted trials is finished once, whoever dies in between.

The study's trials are attempts at *slots*, 0 to the wanted number. A slot is open while no attempt
at it waits, runs or is finished; a worker fills the first open one and takes it. Two workers may
fill the same slot at once, and a worker that was only asleep may wake after its trial was given
away; of several attempts at a slot the earliest that is still good counts, and whoever holds
another lets it go. This needs nothing of a storage but what every Optuna storage has, so it works
on a journal file, a database and through gRPC alike.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

SLOT, OUTCOME, LEASE = "slot", "outcome", "lease"
BROKEN, SURPLUS, INTERRUPTED = "broken", "surplus", "interrupted"
_ENDED = (optuna.exceptions.UpdateFinishedTrialError, ValueError)


class Ledger:
    """The slots of one study, as one worker sees and changes them.

    Args:
        study: the study.
        slots: trials that are wanted.
        first: genes of the first slots: warm starts.
        grace: seconds without a sign of life after which a running trial is given away.
        retries: attempts at a slot beyond the first, after losses.
    """

    def __init__(
        self,
        study: optuna.Study,
        slots: int,
        first: Sequence[Mapping[str, Any]],
        grace: float,
        retries: int,
    ):
        self.study = study
        self.slots = slots
        self.first = first
        self.grace = grace
        self.retries = retries
        self._seen: dict[int, tuple[Any, float]] = {}

    def trials(self) -> list[FrozenTrial]:
        """All attempts at slots, as they are in the storage now."""
        trials = self.study.get_trials(deepcopy=False)
        return [
            trial
            for trial in trials
            if SLOT in trial.user_attrs and trial.user_attrs.get(OUTCOME) != SURPLUS
        ]

    def finished(self) -> list[FrozenTrial]:
        """The attempt that counts of each slot that is done, in the order of the slots."""
        by_slot: dict[int, FrozenTrial] = {}
        trials = self.trials()
        for trial in trials:
            if is_finished(trial):
                by_slot.setdefault(trial.user_attrs[SLOT], trial)
        for slot, lost in self._losses(trials).items():
            if len(lost) > self.retries and not self._alive(trials, slot):
                by_slot.setdefault(slot, lost[-1])
        return [by_slot[slot] for slot in sorted(by_slot) if slot < self.slots]

    def claim(self) -> optuna.trial.Trial | None:
        """Takes a trial to run; None where all open slots are taken or done."""
        self._give_away_the_lost()
        if not self._fill():
            return None
        trial = self.study.ask()
        slot = trial.user_attrs.get(SLOT)
        if slot is not None:
            earlier = [
                other
                for other in self.trials()
                if other.user_attrs[SLOT] == slot
                and other.number < trial.number
                and _is_good(other)
            ]
            if not earlier and slot < self.slots:
                return trial
        self.end(trial, TrialState.FAIL, {OUTCOME: SURPLUS})
        return None

    def end(
        self,
        trial: optuna.trial.Trial,
        state: TrialState,
        notes: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> bool:
        """Ends a trial, and says whether it was still ours to end."""
        try:
            for name, value in notes.items():
                trial.set_user_attr(name, value)
            self.study.tell(trial, values, state)
        except _ENDED:
            return False
        return True

    def _fill(self) -> bool:
        """Sees to it that a trial waits, where a slot is open."""
        trials = self.trials()
        if any(trial.state == TrialState.WAITING for trial in trials):
            return True
        good = {trial.user_attrs[SLOT] for trial in trials if _is_good(trial)}
        losses = self._losses(trials)
        for slot in range(self.slots):
            lost = losses.get(slot, [])
            if slot in good or len(lost) > self.retries:
                continue
            genes: Mapping[str, Any] = self.first[slot] if slot < len(self.first) else {}
            earlier = [trial for trial in trials if trial.user_attrs[SLOT] == slot]
            if earlier:  # Again, with what was drawn the last time.
                fixed = earlier[-1].system_attrs.get("fixed_params", {})
                genes = {**fixed, **earlier[-1].params}
            self.study.enqueue_trial(dict(genes), user_attrs={SLOT: slot})
            return True
        return False

    def _losses(self, trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
        lost: dict[int, list[FrozenTrial]] = {}
        for trial in trials:
            if trial.state == TrialState.FAIL and OUTCOME not in trial.user_attrs:
                lost.setdefault(trial.user_attrs[SLOT], []).append(trial)
        return lost

    def _alive(self, trials: Sequence[FrozenTrial], slot: int) -> bool:
        return any(trial.user_attrs[SLOT] == slot and _is_good(trial) for trial in trials)

    def _give_away_the_lost(self) -> None:
        now = time.monotonic()
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            lease = trial.user_attrs.get(LEASE)
            before = self._seen.get(trial.number)
            # How long it has stood still by our own clock: those of machines differ.
            if before is None or before[0] != lease:
                self._seen[trial.number] = lease, now
                before = self._seen[trial.number]
            if _is_gone(lease) or now - before[1] > self.grace:
                with contextlib.suppress(*_ENDED):
                    self.study.tell(trial.number, state=TrialState.FAIL)


class Lease:
    """Shows for the duration of a `with` block that a trial's worker lives.

    Args:
        trial: whose.
        seconds: between two signs.
        on_beat: called after each, in the lease's own thread.

    Attributes:
        lost: set once somebody else has ended the trial.
    """

    def __init__(
        self, trial: optuna.trial.Trial, seconds: float, on_beat: Callable[[], None] | None = None
    ):
        self.lost = threading.Event()
        self._trial = trial
        self._seconds = seconds
        self._on_beat = on_beat
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Lease:
        self._beat(0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _show(self) -> None:
        beat = 0
        while not self._over.wait(self._seconds):
            beat += 1
            # A storage that is away for a moment costs a beat, not the trial.
            with contextlib.suppress(Exception):
                self._beat(beat)
                if self._on_beat is not None:
                    self._on_beat()

    def _beat(self, beat: int) -> None:
        try:
            self._trial.set_user_attr(LEASE, {"worker": worker_name(), "beat": beat})
        except _ENDED:
            self.lost.set()


def worker_name() -> str:
    """Machine, name space of processes, process and when it began: no two are ever alike."""
    return " ".join([*_place(), str(os.getpid()), _birth(os.getpid()) or "?"])


def is_finished(trial: FrozenTrial) -> bool:
    """Whether the slot is done with this trial: it has scores, was stopped early, or is broken."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get(OUTCOME) == BROKEN
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _is_good(trial: FrozenTrial) -> bool:
    return is_finished(trial) or trial.state in (TrialState.WAITING, TrialState.RUNNING)


def _is_gone(lease: Any) -> bool:
    """Whether the worker was a process of this machine that is no more."""
    words = str((lease or {}).get("worker", "")).split()
    if len(words) != 4 or tuple(words[:2]) != _place() or words[3] == "?":
        return False
    return _birth(int(words[2])) != words[3]


def _place() -> tuple[str, str]:
    try:  # Containers of one machine may share its name, but number their processes apart.
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = "-"
    return platform.node() or "?", space


def _birth(process: int) -> str | None:
    """When a process began, in ticks since the machine did; None where there is no such process."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
