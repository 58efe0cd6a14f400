"""What a search leaves for people: the trials as CSV, the best tables, recipes and a report."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

from keras_ctxseg.search.config import SearchConfig
from keras_ctxseg.search.config_file import load_proxy
from keras_ctxseg.search.records import SearchResult, TrialRecord
from keras_ctxseg.search.topology import block_lines, save_topology

_COLUMNS = (
    "slot", "number", "outcome", "mean_iou", "multiply_adds", "parameters", "seconds", "origin",
    "used_blocks", "reason", "signature",
)  # fmt: skip


def write_summary(config: SearchConfig, result: SearchResult) -> Path:
    """Writes `trials.csv`, `best/*.yaml` and `report.html` into the search's folder.

    For each network of the Pareto front `best/` holds its block table, `front_<n>.yaml`, from the
    cheapest to the best, and a recipe that trains it, `train_front_<n>.yaml`.

    Returns:
        The report.
    """
    from keras_ctxseg.search.report import write_report  # Its charts are of a room with TensorFlow.

    folder = result.directory
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(result, folder / "trials.csv")
    _write_best(config, result, folder / "best")
    return write_report(config, result, folder / "report.html")


def _write_csv(result: SearchResult, path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, restval="")
        writer.writeheader()
        for each in result.records:
            topology = each.topology
            row = {name: getattr(each, name, "") for name in _COLUMNS}
            if topology is not None:
                row["used_blocks"] = len(topology.used_nodes) - 2
                row["signature"] = topology.signature
            writer.writerow({name: "" if value is None else value for name, value in row.items()})
    partial.replace(path)


def _write_best(config: SearchConfig, result: SearchResult, folder: Path) -> None:
    # Anew, so that no table of an earlier front is taken for one of this.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    proxy = load_proxy(config)
    final = config.final_recipe or config.recipe
    for place, each in enumerate(result.front, start=1):
        assert each.topology is not None
        facts = _facts(config, each)
        save_topology(each.topology, folder / f"front_{place}.yaml", facts)
        lines = [f"# {fact}" for fact in facts]
        lines += [f"base: {os.path.relpath(final, folder)}"]
        lines += [f"name: {config.name}_front_{place}"]
        lines += ["model:", f"  name: {proxy.model.name}", "  options:"]
        lines += [f"    output_stride: {2**each.topology.finest_level}"]
        lines += [f"    max_level: {each.topology.coarsest_level}"]
        lines += ["    blocks: # level, type, parents, is an output, dilation"]
        lines += [f"    {line}" for line in block_lines(each.topology)]
        (folder / f"train_front_{place}.yaml").write_text("\n".join(lines) + "\n", "utf-8")


def _facts(config: SearchConfig, record: TrialRecord) -> list[str]:
    height, width = config.cost_size
    return [
        f"Trial {record.number} of the search {config.name}"
        + (f" ({record.origin})" if record.origin else "")
        + f": {100 * (record.mean_iou or 0):.2f} % validation mIoU on its proxy task.",
        f"There {(record.multiply_adds or 0) / 1e9:.3f} GMAC at {height}x{width} and "
        f"{record.parameters:,} parameters.",
    ]
