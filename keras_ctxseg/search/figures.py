"""Figures of a search: a topology as a picture, and which genes decide the score."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import numpy as np

from keras_ctxseg.backbones.block_tables import NUM_STEM_NODES, adopted_nodes
from keras_ctxseg.search.records import TrialRecord
from keras_ctxseg.search.topology import Topology

_STEP, _ROW, _HALF = 40, 52, 12  # between blocks, between levels, of a block; in SVG units
_LEFT, _TOP = 66, 50

# One colour of letters and lines that shows on light pages and on dark ones.
_STYLE = """
.topology text { fill: #7b828c; text-anchor: middle; font: 12px sans-serif }
.topology .start { text-anchor: start }
.topology .grid { stroke: #7b828c; stroke-width: .5; stroke-dasharray: 1 5 }
.topology .edge { fill: none; stroke: #7b828c; stroke-width: 1.2 }
.topology .adopted { stroke-dasharray: 5 4 }
.topology .block { fill: none; stroke: #7b828c; stroke-width: 1.6 }
.topology .dilated { fill: #4a90d9; fill-opacity: .3 }
.topology .output { stroke: #d9822b; stroke-width: 2.4 }
.topology .head { fill: none; stroke: #d9822b; stroke-width: 2 }
"""


def draw_topology(topology: Topology) -> str:
    """Draws the blocks that are built, with their parents.

    Returns:
        An `<svg>` that needs nothing beside it: as a file, or inside a page.
    """
    nodes = topology.used_nodes
    levels = {0: 2, 1: 2} | {
        node: topology.blocks[node - NUM_STEM_NODES].level for node in nodes[2:]
    }
    low, high = min(levels.values()), max(levels.values())
    width = max(_LEFT + _STEP * len(nodes) + 70, 560)
    bottom = _TOP + _ROW * (high - low)
    place = {
        node: (_LEFT + _STEP * number, bottom - _ROW * (levels[node] - low))
        for number, node in enumerate(nodes)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="topology" '
        f'viewBox="0 0 {width} {bottom + 96}" role="img" aria-label="Blocks in order from left to '
        f"right, at heights by their level; each has two parents. Outputs that the head reads are "
        f'orange, dilated blocks are filled."><style>{_STYLE}</style>'
    ]
    for level in range(low, high + 1):
        y = bottom - _ROW * (level - low)
        parts.append(f'<text class="start" x="6" y="{y + 4}">1/{2**level}</text>')
        parts.append(f'<path class="grid" d="M44 {y}H{width - 10}"/>')
    parts.append(_edge(place[0], place[1]))
    adopted = adopted_nodes(topology.blocks)
    for node in nodes[NUM_STEM_NODES:]:
        block = topology.blocks[node - NUM_STEM_NODES]
        parts += [_edge(place[parent], place[node]) for parent in block.parents]
        parts += [_edge(place[other], place[node], "edge adopted") for other in adopted[node]]
    for node in nodes:
        parts.append(_block(topology, node, *place[node]))
    parts += _head(topology, place, bottom)
    legend = bottom + 78
    for x, shape, name in (
        (46, 'class="block" rx="3"', "bottleneck"),
        (146, 'class="block" rx="10"', "residual"),
        (230, 'class="block dilated" rx="3"', "atrous, its rate below"),
        (392, 'class="block output" rx="3"', "output that is read"),
    ):
        parts.append(f'<rect {shape} x="{x}" y="{legend - 14}" width="20" height="20"/>')
        parts.append(f'<text class="start" x="{x + 26}" y="{legend}">{name}</text>')
    parts.append('<text class="start" x="6" y="20">size</text>')
    parts.append(f'<text x="{width // 2}" y="20">blocks in the order of their computation</text>')
    return "\n".join([*parts, "</svg>"])


def _block(topology: Topology, node: int, x: int, y: int) -> str:
    block = topology.blocks[node - NUM_STEM_NODES] if node >= NUM_STEM_NODES else None
    classes, radius, below = "block", 3, ""
    if block is not None:
        radius = _HALF if block.type == "residual" else 3
        if block.dilation > 1:
            classes += " dilated"
            below = f'<text x="{x}" y="{y + 26}">×{block.dilation}</text>'
        if block.is_output and block.level in topology.levels:
            classes += " output"
    return (
        f'<rect class="{classes}" x="{x - _HALF}" y="{y - _HALF}" width="{2 * _HALF}" '
        f'height="{2 * _HALF}" rx="{radius}"/><text x="{x}" y="{y + 4}">{node}</text>{below}'
    )


def _edge(start: tuple[int, int], end: tuple[int, int], kind: str = "edge") -> str:
    (x, y), (to_x, to_y) = start, end
    if y != to_y or to_x - x == _STEP:  # From the right side to the left one.
        middle = (x + to_x) // 2
        path = f"M{x + _HALF} {y}C{middle} {y} {middle} {to_y} {to_x - _HALF} {to_y}"
    else:  # Over the blocks between the two.
        path = f"M{x} {y - _HALF}C{x} {y - 38} {to_x} {y - 38} {to_x} {y - _HALF}"
    return f'<path class="{kind}" d="{path}"/>'


def _head(topology: Topology, place: dict[int, tuple[int, int]], bottom: int) -> list[str]:
    """A box at the right end of the lowest line, which every output that is read leads to."""
    x = max(at for at, _ in place.values()) + 62
    parts = []
    for node in topology.used_nodes[NUM_STEM_NODES:]:
        block = topology.blocks[node - NUM_STEM_NODES]
        if block.is_output and block.level in topology.levels:
            at, y = place[node]
            parts.append(
                f'<path class="head" d="M{at + _HALF} {y}C{x} {y} {x} {y} {x} {bottom + 24}"/>'
            )
    parts.append(
        f'<rect class="head" x="{x - 32}" y="{bottom + 24}" width="64" height="24" rx="4"/>'
    )
    parts.append(f'<text x="{x}" y="{bottom + 40}">ASPP</text>')
    return parts


KINDS = {
    "order": "order of the blocks",
    "parent": "connections",
    "level": "level adjustments",
    "type": "block types",
    "dilation": "dilations",
    "finest": "finest output",
    "extra": "outputs merged",
}
LEAST_TRIALS = 12


def gene_importance(records: Sequence[TrialRecord]) -> dict[str, float]:
    """Share of each kind of gene in telling good networks from others, by PED-ANOVA.

    Optuna's PED-ANOVA (arXiv 2304.10255) of the validation mIoU, summed over blocks.

    Returns:
        `{kind: share}`, largest first, sum 1; empty where fewer than 12 trials have scores.
    """
    import optuna

    finished = [each for each in records if each.outcome == "finished" and each.genes]
    if len(finished) < LEAST_TRIALS:
        return {}
    study = optuna.create_study(direction="maximize")
    for each in finished:
        distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.FloatDistribution(0.0, 1.0)
            if name.startswith("order")
            else optuna.distributions.CategoricalDistribution(_choices(finished, name))
            for name in each.genes
        }
        study.add_trial(
            optuna.trial.create_trial(
                params=each.genes, distributions=distributions, value=each.mean_iou
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    shares = dict.fromkeys(KINDS.values(), 0.0)
    for name, share in found.items():
        kind = next(kind for kind in KINDS if kind in name.split("_"))
        shares[KINDS[kind]] += share
    there = {
        name: share for name, share in shares.items()
        if any(KINDS[kind] == name and kind in gene.split("_")
               for gene in finished[0].genes for kind in KINDS)
    }  # fmt: skip
    return dict(sorted(there.items(), key=lambda item: -item[1]))


def trait_correlations(records: Sequence[TrialRecord]) -> dict[str, float]:
    """Spearman's rank correlation of each trait of the networks with their mIoU.

    Traits are what a reader of block tables looks at; the genes are only how a table is written.

    Returns:
        `{trait: correlation}`, strongest first; empty where fewer than 12 trials have scores.
    """
    from scipy.stats import spearmanr

    finished = [
        each for each in records if each.outcome == "finished" and each.topology is not None
    ]
    if len(finished) < LEAST_TRIALS:
        return {}
    rows = [_traits(each) for each in finished]
    scores = [each.mean_iou for each in finished]
    result = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if len(set(values)) > 1 and len(set(scores)) > 1:
            with contextlib.suppress(ValueError):
                result[name] = float(spearmanr(values, scores).statistic)
    return dict(sorted(result.items(), key=lambda item: -abs(item[1])))


def _choices(records: Sequence[TrialRecord], name: str) -> list:
    return sorted({each.genes[name] for each in records})


def _traits(record: TrialRecord) -> dict[str, float]:
    topology = record.topology
    assert topology is not None
    used = [topology.blocks[node - 2] for node in topology.used_nodes[2:]]
    jumps = [
        abs((topology.blocks[parent - 2].level if parent >= 2 else 2) - block.level)
        for block in used
        for parent in block.parents
    ]
    return {
        "multiply-adds": float(record.multiply_adds or 0),
        "parameters": float(record.parameters or 0),
        "blocks used": float(len(used)),
        "mean level of the blocks": float(np.mean([block.level for block in used])),
        "coarsest level reached": float(max(block.level for block in used)),
        "share of bottlenecks": float(np.mean([block.type == "bottleneck" for block in used])),
        "mean dilation": float(np.mean([block.dilation for block in used])),
        "levels a connection spans, mean": float(np.mean(jumps)),
        "outputs merged": float(len(topology.levels)),
    }
