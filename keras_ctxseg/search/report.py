"""The search as one HTML page that stands alone."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ctxseg.pages.page import render_page
from keras_ctxseg.pages.svg_chart import Line, line_chart
from keras_ctxseg.search.config import SearchConfig
from keras_ctxseg.search.figures import (
    LEAST_TRIALS,
    draw_topology,
    gene_importance,
    trait_correlations,
)
from keras_ctxseg.search.records import SearchResult, TrialRecord, seeds_of
from keras_ctxseg.search.topology import block_lines


def write_report(config: SearchConfig, result: SearchResult, path: Path) -> Path:
    """Writes the report.

    Args:
        config: the search.
        result: its trials.
        path: the page.

    Returns:
        `path`.
    """
    front = result.front
    counts = {
        outcome: sum(each.outcome == outcome for each in result.records)
        for outcome in ("finished", "stopped", "failed")
    }
    seconds = sum(each.seconds or 0.0 for each in result.records)
    shares = gene_importance(result.records)
    correlations = trait_correlations(result.records)
    best = front[-1] if front else None
    page = render_page(
        importlib.resources.files(__package__).joinpath("report.html.j2"),
        title=f"Search {config.name}",
        counts=counts,
        done=len(result.records),
        wanted=result.wanted,
        best=None if best is None else best.mean_iou,
        hours=f"{seconds / 3600:.2f}",
        mean_seconds=f"{seconds / len(result.records):.0f}" if result.records else "–",
        pareto=_pareto_chart(result),
        progress=_progress_chart(result.records),
        front=[_row(each) for each in reversed(front)],
        starts=[_row(each) for each in result.records if each.origin],
        seeds=seeds_of(result.confirmations),
        confirmed=[(each, _row(each.record)) for each in result.confirmations],
        shares=[(name, f"{100 * share:.0f} %", 100 * share) for name, share in shares.items()],
        correlations=[(name, f"{value:+.2f}", value) for name, value in correlations.items()],
        least=LEAST_TRIALS,
        failures=[each for each in result.records if each.outcome == "failed"],
        cost_size=f"{config.cost_size[0]}×{config.cost_size[1]}",
        facts=_facts(config),
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _pareto_chart(result: SearchResult):
    finished = [each for each in result.records if each.outcome == "finished"]
    if not finished:
        return None
    stopped = [
        each
        for each in result.records
        if each.outcome == "stopped" and each.mean_iou is not None and each.multiply_adds
    ]
    groups = [
        ("finished", [each for each in finished if not each.origin], 3, False),
        ("warm starts", [each for each in finished if each.origin], 1, False),
        ("stopped early, at their last score", stopped, 2, False),
        ("Pareto front", result.front, 0, True),
    ]
    lines = [
        Line(
            name,
            [(each.multiply_adds or 0) / 1e9 for each in group],
            [100 * (each.mean_iou or 0.0) for each in group],
            color=color,
            marks=True,
            joined=joined,
        )
        for name, group, color, joined in groups
        if group
    ]
    return line_chart(lines, "GMAC", "validation mIoU, %")


def _progress_chart(records: Sequence[TrialRecord]):
    """The best score so far by trial."""
    best, line = 0.0, []
    ordered = sorted(records, key=lambda each: each.number)
    for each in ordered:
        if each.outcome == "finished":
            best = max(best, each.mean_iou or 0.0)
        line.append(100 * best if best else float("nan"))
    if not best:
        return None
    return line_chart(
        [Line("best so far", range(1, len(line) + 1), line, color=0)],
        "trials done",
        "best validation mIoU, %",
    )


def _row(record: TrialRecord) -> dict[str, Any]:
    from markupsafe import Markup

    topology = record.topology
    return {
        "number": record.number,
        "origin": record.origin,
        "mean_iou": record.mean_iou,
        "gmac": "–" if record.multiply_adds is None else f"{record.multiply_adds / 1e9:.3f}",
        "parameters": "–" if record.parameters is None else f"{record.parameters / 1e6:.3f}",
        "used": "–" if topology is None else len(topology.used_nodes) - 2,
        "levels": "" if topology is None else ", ".join(f"P{level}" for level in topology.levels),
        "table": "" if topology is None else "\n".join(block_lines(topology)),
        "drawing": "" if topology is None else Markup(draw_topology(topology)),
    }


def _facts(config: SearchConfig) -> dict[str, str]:
    stopping, sieve = config.stopping, config.filter
    return {
        "Proxy task": "\n".join([config.recipe, *config.overrides]),
        "Sampler": config.sampler.name,
        "Space": f"level adjustments {config.space.level_adjustments}, types "
        f"{config.space.types}, dilations {config.space.dilations}, head from level "
        f"{config.space.finest_levels} and {config.space.extra_levels} more",
        "Filter": f"{sieve.cost[0]:g} to {sieve.cost[1]:g} times the parent topology's "
        f"multiply-adds, at most {sieve.parameters:g} times its parameters, at least "
        f"{sieve.used_blocks} blocks used",
        "Early stopping": f"below the {stopping.quantile:g} quantile of at least {stopping.peers} "
        f"trials as far that cost no more than {stopping.cost_slack:g} times as much",
    }
