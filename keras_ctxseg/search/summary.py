"""What a search leaves for people: the trials as CSV, the best tables, recipes and a report."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ctxseg.search.config import SearchConfig, load_proxy
from keras_ctxseg.search.records import Confirmation, SearchResult, TrialRecord, seeds_of
from keras_ctxseg.search.topology import block_lines, save_topology

_COLUMNS = (
    "slot", "number", "outcome", "mean_iou", "multiply_adds", "parameters", "seconds", "origin",
    "used_blocks", "reason", "signature",
)  # fmt: skip


def write_summary(config: SearchConfig, result: SearchResult) -> Path:
    """Writes `trials.csv`, `best/*.yaml` and `report.html` into the search's folder.

    For each network of the Pareto front `best/` holds its block table, `front_<n>.yaml`, from the
    cheapest to the best, and a recipe that trains it, `train_front_<n>.yaml`; for those that were
    confirmed `confirmed_<n>.yaml` and `train_confirmed_<n>.yaml`, from the best mean down, and
    their scores are in `confirmed.csv`.

    Returns:
        The report.
    """
    from keras_ctxseg.search.report import write_report  # Its charts are of a room with TensorFlow.

    folder = result.directory
    folder.mkdir(parents=True, exist_ok=True)
    _write_trials(result, folder / "trials.csv")
    if result.confirmations:
        _write_confirmations(result, folder / "confirmed.csv")
    _write_best(config, result, folder / "best")
    return write_report(config, result, folder / "report.html")


def _write_trials(result: SearchResult, path: Path) -> None:
    rows = []
    for each in result.records:
        topology = each.topology
        row = {name: getattr(each, name, "") for name in _COLUMNS}
        if topology is not None:
            row["used_blocks"] = len(topology.used_nodes) - 2
            row["signature"] = topology.signature
        rows.append(row)
    _write_csv(rows, _COLUMNS, path)


def _write_confirmations(result: SearchResult, path: Path) -> None:
    seeds = seeds_of(result.confirmations)
    rows = [
        {
            "number": each.record.number,
            "origin": each.record.origin,
            "multiply_adds": each.record.multiply_adds,
            "parameters": each.record.parameters,
            "search_mean_iou": each.record.mean_iou,
            "mean": each.mean,
            "deviation": each.deviation,
            **{f"seed_{seed}": score for seed, score in each.scores.items()},
        }
        for each in result.confirmations
    ]
    columns = [name for name in rows[0] if not name.startswith("seed_")]
    _write_csv(rows, [*columns, *(f"seed_{seed}" for seed in seeds)], path)


def _write_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str], path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if value is None else value for name, value in row.items()})
    partial.replace(path)


def _write_best(config: SearchConfig, result: SearchResult, folder: Path) -> None:
    # Anew, so that no table of an earlier front is taken for one of this.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    proxy = load_proxy(config)
    final = config.final_recipe or config.recipe
    chosen = {
        f"front_{place}": (each, _facts(config, each))
        for place, each in enumerate(result.front, start=1)
    }
    for place, again in enumerate(result.confirmations, start=1):
        facts = [*_facts(config, again.record), _confirmed(again)]
        chosen[f"confirmed_{place}"] = again.record, facts
    for name, (each, facts) in chosen.items():
        assert each.topology is not None
        save_topology(each.topology, folder / f"{name}.yaml", facts)
        lines = [f"# {fact}" for fact in facts]
        lines += [f"base: {os.path.relpath(final, folder)}"]
        lines += [f"name: {config.name}_{name}"]
        lines += ["model:", f"  name: {proxy.model.name}", "  options:"]
        lines += [f"    output_stride: {2**each.topology.finest_level}"]
        lines += [f"    max_level: {each.topology.coarsest_level}"]
        lines += ["    blocks: # level, type, parents, is an output, dilation"]
        lines += [f"    {line}" for line in block_lines(each.topology)]
        (folder / f"train_{name}.yaml").write_text("\n".join(lines) + "\n", "utf-8")


def _confirmed(again: Confirmation) -> str:
    seeds = ", ".join(f"{100 * score:.2f} (seed {seed})" for seed, score in again.scores.items())
    return f"Trained again: {seeds}; mean {100 * again.mean:.2f} %."


def _facts(config: SearchConfig, record: TrialRecord) -> list[str]:
    height, width = config.cost_size
    return [
        f"Trial {record.number} of the search {config.name}"
        + (f" ({record.origin})" if record.origin else "")
        + f": {100 * (record.mean_iou or 0):.2f} % validation mIoU on its proxy task.",
        f"There {(record.multiply_adds or 0) / 1e9:.3f} GMAC at {height}x{width} and "
        f"{record.parameters:,} parameters.",
    ]
