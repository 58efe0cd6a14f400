"""Networks of a search trained again with seeds that it has not used, as their studies hold them.

A search trains each network with one seed, so the best score of many is partly that seed's luck.
`confirm` has the best trained again, one study a seed beside the search's own; here they are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import optuna

from keras_ctxseg.search.config import SearchConfig
from keras_ctxseg.search.ledger import SLOT
from keras_ctxseg.search.records import Confirmation, TrialRecord, record_of
from keras_ctxseg.search.storage import open_storage

_SUFFIX = "_confirmed_seed"


def study_name(config: SearchConfig, seed: int) -> str:
    """Of the study that trains a search's best with this seed."""
    return f"{config.name}{_SUFFIX}{seed}"


def confirmations_of(
    config: SearchConfig, records: Sequence[TrialRecord]
) -> tuple[Confirmation, ...]:
    """What the storage holds of a search's networks with other seeds.

    Returns:
        Of each network that has a score, the best mean first.
    """
    scores: dict[str, dict[int, float]] = {}
    storage = open_storage(config.storage_location)
    for name in optuna.get_all_study_names(storage):
        match = re.fullmatch(re.escape(config.name + _SUFFIX) + r"(-?\d+)", name)
        if match is None:
            continue
        seed = int(match[1])
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
        for each in (record_of(trial) for trial in trials if SLOT in trial.user_attrs):
            if each.outcome == "finished" and each.topology and each.mean_iou is not None:
                scores.setdefault(each.topology.signature, {})[seed] = each.mean_iou
    found = [
        Confirmation(each, dict(sorted(scores[each.topology.signature].items())))
        for each in records
        if each.topology is not None and each.topology.signature in scores
    ]
    return tuple(sorted(found, key=lambda each: -each.mean))
