"""Architecture search for scale-permuted backbones: the space, the trials, what was found.

Everything loads on first use. `Topology`, `SearchSpace`, `count_cost` need neither TensorFlow nor
Optuna; `run_search` needs Optuna, the extra `search`.
"""

import importlib

_HOMES = {
    "Candidate": "objective",
    "Confirmation": "records",
    "Cost": "arithmetic",
    "SearchConfig": "config",
    "SearchResult": "records",
    "SearchSpace": "space",
    "StoppedError": "stopping",
    "Topology": "topology",
    "TrainingObjective": "objective",
    "TrialRecord": "records",
    "confirm": "confirmation",
    "count_cost": "arithmetic",
    "draw_topology": "drawing",
    "hopeless": "stopping",
    "load_result": "run",
    "load_search_config": "config_file",
    "load_topology": "topology",
    "pareto_front": "records",
    "run_search": "run",
    "save_topology": "topology",
    "topology_from_options": "topology",
    "write_summary": "summary",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
