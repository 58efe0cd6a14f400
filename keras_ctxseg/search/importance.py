"""Which genes decide the score, as far as the trials tell."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import numpy as np

from keras_ctxseg.search.records import TrialRecord

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
