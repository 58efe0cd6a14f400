"""The search: one worker, of as many as there are processes with the same configuration."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from keras_ctxseg.backbones.block_tables import PARENT_BLOCKS
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.search import records
from keras_ctxseg.search.config import SearchConfig, load_proxy
from keras_ctxseg.search.confirmed import confirmations_of
from keras_ctxseg.search.ledger import BROKEN, INTERRUPTED, OUTCOME, SLOT, Lease, Ledger
from keras_ctxseg.search.live_table import LiveTable
from keras_ctxseg.search.objective import (
    Candidate,
    Objective,
    StoppedError,
    TrainingObjective,
    hopeless,
)
from keras_ctxseg.search.records import SearchResult, TrialRecord, record_of
from keras_ctxseg.search.space import SearchSpace
from keras_ctxseg.search.study import (
    Filter,
    Pricing,
    filtered_sampler,
    make_ledger,
    make_space,
    open_study,
    warm_starts,
)
from keras_ctxseg.search.topology import Topology


class SearchStoppedError(ConfigError):
    """Trials fail one after another: what is wrong is not the networks."""


class _LostError(Exception):
    """The trial was given to somebody else."""


def run_search(
    config: SearchConfig,
    objective: Objective | None = None,
    num_classes: int | None = None,
    say: Callable[[str], None] = print,
) -> SearchResult:
    """Searches until the wanted number of trials is finished, by this and all other workers.

    The same call again goes on where it was stopped, however it was stopped. The same call in
    another process, here or on a machine that reaches the storage, shares the work.

    Args:
        config: the search.
        objective: scores a topology; None trains it as the configured recipe says.
        num_classes: of the networks that are counted; None asks the recipe and its data set.
        say: takes what a person should know, where there is no terminal to draw a table in.

    Returns:
        The finished trials.

    Raises:
        ConfigError: the configuration cannot be used, or the study is another search's.
        SearchStoppedError: `worker.failures` trials failed one after another.
        KeyboardInterrupt: SIGINT or SIGTERM; the trial is left for the next worker.
    """
    proxy = load_proxy(config)
    classes = num_classes or proxy.model.num_classes or _classes(proxy)
    with _signals():
        worker = _Worker(config, proxy, classes, objective, say)
        with worker.table:
            worker.work()
        return worker.result()


def load_result(config: SearchConfig) -> SearchResult:
    """What the search's storage holds now, without taking part.

    Raises:
        ConfigError: there is no such study.
    """
    space = make_space(config)
    proxy = load_proxy(config)
    if config.storage is None and not Path(config.storage_location).is_file():
        raise ConfigError(f"there is no search in {config.directory}")
    ledger = make_ledger(config, open_study(config, proxy), space, warm_starts(config, space))
    return _result(config, ledger)


class _Worker:
    def __init__(
        self,
        config: SearchConfig,
        proxy: RunConfig,
        num_classes: int,
        objective: Objective | None,
        say: Callable[[str], None],
    ):
        self.config = config
        self.space: SearchSpace = make_space(config)
        self.price = Pricing(proxy, num_classes, config.cost_size)
        self.starts = warm_starts(config, self.space)
        accepts = Filter(config.filter, self.price, self._reference())
        self.known: set[str] = set()
        sampler = filtered_sampler(config, self.space, self.starts, accepts, self.known)
        study = open_study(config, proxy, sampler)
        self.ledger: Ledger = make_ledger(config, study, self.space, self.starts)
        self.objective = objective or TrainingObjective(proxy, config.worker)
        self.table = LiveTable(config.name, config.trials, say)
        self._failures = 0

    def work(self) -> None:
        self._refresh()
        while len(self.ledger.finished()) < self.config.trials:
            trial = self.ledger.claim()
            if trial is None:
                self._refresh()
                time.sleep(min(2.0, self.config.worker.beat_seconds / 2))
                continue
            self._run(trial)
            self._refresh()

    def result(self) -> SearchResult:
        return _result(self.config, self.ledger)

    def _run(self, trial: optuna.trial.Trial) -> None:
        began = time.perf_counter()
        notes: dict[str, Any] = {}
        state, values = TrialState.FAIL, None
        with Lease(trial, self.config.worker.beat_seconds, self._refresh) as lease:
            try:
                values = self._score(trial, lease)
                state = TrialState.COMPLETE
            except StoppedError as error:
                state, notes = TrialState.PRUNED, {records.REASON: str(error)}
            except _LostError as error:
                self.table.say(f"Trial {trial.number} is left to another worker. {error}")
                return
            except KeyboardInterrupt:
                self.ledger.end(trial, TrialState.FAIL, {OUTCOME: INTERRUPTED})
                raise
            except Exception as error:  # A broken network is a failed trial, not a dead search.
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                notes = {OUTCOME: BROKEN, records.REASON: reason[:500]}
            notes[records.SECONDS] = round(time.perf_counter() - began, 2)
            self.ledger.end(trial, state, notes, values)
        self._count_failures(state, notes)

    def _score(self, trial: optuna.trial.Trial, lease: Lease) -> tuple[float, float]:
        genes = {
            name: trial.suggest_categorical(name, choices)
            if choices
            else trial.suggest_float(name, 0.0, 1.0)
            for name, choices in self.space.genes.items()
        }
        topology = self.space.decode(genes)
        cost = self.price(topology)
        slot = trial.user_attrs[SLOT]
        trial.set_user_attr(records.TOPOLOGY, topology.options)
        trial.set_user_attr(records.COST, cost.multiply_adds)
        trial.set_user_attr(records.PARAMETERS, cost.parameters)
        if slot < len(self.starts):
            trial.set_user_attr(records.ORIGIN, Path(list(self.starts)[slot]).stem)
        curve: dict[int, float] = {}

        def watch() -> None:
            if lease.lost.is_set():
                raise _LostError

        def report(epoch: int, mean_iou: float) -> None:
            watch()
            curve[epoch] = mean_iou
            try:
                trial.set_user_attr(records.CURVE, sorted(curve.items()))
            except Exception as error:  # Of the storage: nothing that the network did.
                raise _LostError(" ".join(str(error).split())) from error
            self._refresh()
            if slot < len(self.starts):  # What everything else is measured against.
                return
            peers = [
                (other.curve, float(other.multiply_adds or 0))
                for other in map(record_of, self.ledger.trials())
                if other.number != trial.number
            ]
            reason = hopeless(curve, cost.multiply_adds, peers, self.config.stopping)
            if reason is not None:
                raise StoppedError(reason)

        folder = self.config.directory / "trials" / f"{trial.number:05d}"
        candidate = Candidate(topology, cost.parameters, cost.multiply_adds, folder, watch)
        score = float(self.objective(candidate, report))
        if not math.isfinite(score):
            raise ValueError(f"the score is {score}")
        return score, float(cost.multiply_adds)

    def _reference(self):
        finest, extra = self.space.finest_levels[0], self.space.extra_levels[0]
        return self.price(Topology(PARENT_BLOCKS, finest, finest + extra))

    def _refresh(self) -> None:
        found: list[TrialRecord] = [record_of(trial) for trial in self.ledger.trials()]
        self.known.update(each.topology.signature for each in found if each.topology is not None)
        self.table.show(found, [record_of(trial) for trial in self.ledger.finished()])

    def _count_failures(self, state: TrialState, notes: dict[str, Any]) -> None:
        self._failures = self._failures + 1 if state == TrialState.FAIL else 0
        if self._failures >= self.config.worker.failures:
            raise SearchStoppedError(
                f"{self._failures} trials failed one after another, the last with: "
                f"{notes[records.REASON]}. Nothing is lost: mend it and start the search again"
            )


def _result(config: SearchConfig, ledger: Ledger) -> SearchResult:
    found = tuple(record_of(trial) for trial in ledger.finished())
    return SearchResult(config.directory, config.trials, found, confirmations_of(config, found))


def _classes(proxy: RunConfig) -> int:
    from keras_ctxseg.runs.assembly import load_dataset

    return load_dataset(proxy).num_classes


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM ends the search as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
