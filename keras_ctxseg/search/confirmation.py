"""Trains the best networks of a search again, with seeds that the search has not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from keras_ctxseg.runs.config import ConfigError
from keras_ctxseg.search.config import SearchConfig, load_proxy
from keras_ctxseg.search.confirmed import study_name
from keras_ctxseg.search.objective import Objective
from keras_ctxseg.search.records import SearchResult, TrialRecord
from keras_ctxseg.search.run import load_result, run_search
from keras_ctxseg.search.storage import FileLock
from keras_ctxseg.search.topology import load_topology, save_topology


def confirm(
    config: SearchConfig,
    count: int = 12,
    seeds: Sequence[int] = (1, 2, 3),
    objective: Callable[[SearchConfig], Objective] | None = None,
    num_classes: int | None = None,
    say: Callable[[str], None] = print,
) -> SearchResult:
    """Trains the warm starts and the `count` best networks of a search with each of `seeds`.

    Each seed is a search of its own, whose every trial is given; so what holds for a search holds
    here: the same call again goes on, and in another process it shares the work.

    Args:
        config: the search.
        count: how many of the best by validation mIoU, warm starts not included.
        seeds: other than the proxy recipe's own.
        objective: makes what scores a topology, for the search of one seed; None trains it.
        num_classes: as for `run_search`.
        say: as for `run_search`.

    Returns:
        The search's result, with the confirmations that there are now.

    Raises:
        ConfigError: there is no such search, it has no finished trial, a seed is its own, or
            `count` is less than 1.
        KeyboardInterrupt: SIGINT or SIGTERM.
    """
    if count < 1:
        raise ConfigError(f"`confirm`: expected at least 1 network. Received: {count}")
    own = load_proxy(config).training.seed
    if own in seeds:
        raise ConfigError(
            f"`seeds`: expected others than {own}, with which the search chose. "
            f"Received: {' '.join(map(str, seeds))}"
        )
    tables = _tables(config, _chosen(load_result(config), count))
    for seed in dict.fromkeys(seeds):
        say(f"Seed {seed}:")
        one = replace(
            config,
            name=study_name(config, seed),
            output_dir=str(config.directory / "confirmed"),
            storage=config.storage_location,
            overrides=(*config.overrides, f"training.seed={seed}"),
            warm_start=tuple(map(str, tables)),
            trials=len(tables),
        )
        run_search(one, None if objective is None else objective(one), num_classes, say)
    return load_result(config)


def _chosen(result: SearchResult, count: int) -> list[TrialRecord]:
    finished = [each for each in result.records if each.outcome == "finished"]
    if not finished:
        raise ConfigError(f"{result.directory}: no trial is finished that could be confirmed")
    best = sorted(
        (each for each in finished if not each.origin), key=lambda each: -(each.mean_iou or 0.0)
    )
    return [each for each in finished if each.origin] + best[:count]


def _tables(config: SearchConfig, chosen: Sequence[TrialRecord]) -> list[Path]:
    """Files of what is trained, in an order that stays: a trial's slot is its table's place.

    A search that went on since the last time may have others on top; they come after those.
    """
    folder = config.directory / "confirmed" / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        there = sorted(folder.glob("*.yaml"))
        known = {load_topology(path).signature for path in there}
        for each in chosen:
            assert each.topology is not None
            if each.topology.signature in known:
                continue
            path = folder / f"{len(there):03d}_trial_{each.number}.yaml"
            partial = path.with_suffix(".partial")
            save_topology(each.topology, partial)
            partial.replace(path)
            there.append(path)
    return there
