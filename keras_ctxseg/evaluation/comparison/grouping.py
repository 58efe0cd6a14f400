"""Which runs are seeds of one recipe, and what to call them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

import yaml

from keras_ctxseg.evaluation.comparison.scored_run import ScoredRun


def recipe_groups(runs: Sequence[ScoredRun]) -> dict[str, list[ScoredRun]]:
    """Runs by recipe, in the order given; a run without a recipe stands for itself.

    A recipe is what `config.yaml` says on model, data, augmentation and training without the seed
    and without where files lie; the protocol of the evaluation belongs to it.
    """
    groups: dict[str, list[ScoredRun]] = {}
    for run in runs:
        groups.setdefault(_recipe(run), []).append(run)
    times = Counter(_name(members) for members in groups.values())
    named: dict[str, list[ScoredRun]] = {}
    for members in groups.values():
        name, number = _name(members), 1
        if times[name] > 1:  # one network by two protocols, in two folders
            name = f"{name}/{members[0].path.absolute().parent.name}"
        first = name
        while name in named:
            number += 1
            name = f"{first} #{number}"
        named[name] = members
    return named


def _recipe(run: ScoredRun) -> str:
    if run.folder is None:
        return str(run.path.resolve())
    with (run.folder / "config.yaml").open(encoding="utf-8") as file:
        config = yaml.safe_load(file) or {}
    data = _without(config.get("data"), "cache")
    kept = {
        "model": config.get("model"),
        "data": {**data, "options": _without(data.get("options"), "path")},
        "augmentation": config.get("augmentation"),
        "training": _without(config.get("training"), "seed"),
        "protocol": run.protocol,
    }
    return json.dumps(kept, sort_keys=True, default=str)


def _without(section: dict | None, key: str) -> dict:
    return {name: value for name, value in (section or {}).items() if name != key}


def _name(members: Sequence[ScoredRun]) -> str:
    names = [run.name for run in members]
    if len(names) == 1:
        return names[0]
    # "ksac_seed0" and "ksac_seed1" are "ksac".
    stems = {re.sub(r"[_-]((seed|run|s)[_-]?)?\d+$", "", name) for name in names}
    return stems.pop() if len(stems) == 1 else names[0]
