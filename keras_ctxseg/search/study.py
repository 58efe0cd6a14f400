"""A search's study: opened by the first worker, joined by all others."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from keras_ctxseg.backbones.block_tables import TABLES
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_schema import plain
from keras_ctxseg.search.arithmetic import Cost, count_cost
from keras_ctxseg.search.config import MODEL_PREFIX, FilterConfig, SearchConfig
from keras_ctxseg.search.ledger import Ledger
from keras_ctxseg.search.sampler import make_sampler
from keras_ctxseg.search.space import SearchSpace
from keras_ctxseg.search.storage import open_storage
from keras_ctxseg.search.topology import Topology, load_topology

_FACTS = "keras_ctxseg"


@dataclass(frozen=True)
class Pricing:
    """Counts what a topology takes, for the model and classes of the proxy task."""

    proxy: RunConfig
    num_classes: int
    size: tuple[int, int]

    def __call__(self, topology: Topology) -> Cost:
        scale = self.proxy.model.name.removeprefix(MODEL_PREFIX)
        return count_cost(topology, scale, self.num_classes, self.size, self.proxy.model.options)


@dataclass(frozen=True)
class Filter:
    """Whether a topology is worth training, told by arithmetic alone."""

    rule: FilterConfig
    price: Pricing
    reference: Cost

    def __call__(self, topology: Topology) -> bool:
        if len(topology.used_nodes) - 2 < self.rule.used_blocks:
            return False
        cost = self.price(topology)
        low, high = (bound * self.reference.multiply_adds for bound in self.rule.cost)
        if not low <= cost.multiply_adds <= high:
            return False
        return cost.parameters <= self.rule.parameters * self.reference.parameters


def make_space(config: SearchConfig) -> SearchSpace:
    """The configured space.

    Raises:
        ConfigError: its choices do not make valid networks.
    """
    try:
        return SearchSpace(**{key: tuple(v) for key, v in plain(config.space).items()})
    except ValueError as error:
        raise ConfigError(f"`space`: {error}") from None


def warm_starts(config: SearchConfig, space: SearchSpace) -> dict[str, Topology]:
    """The topologies that are tried first, by name.

    Raises:
        ConfigError: one is no member of the space.
    """
    finest, extra = space.finest_levels[0], space.extra_levels[0]
    found = {}
    for name in config.warm_start:
        topology = (
            Topology(TABLES[name], finest, finest + extra)
            if name in TABLES
            else load_topology(name)
        )
        try:
            space.encode(topology)
        except ValueError as error:
            raise ConfigError(f"`warm_start`: {name} is not in the `space`: {error}") from None
        found[name] = topology
    return found


def open_study(
    config: SearchConfig, proxy: RunConfig, sampler: optuna.samplers.BaseSampler | None = None
) -> optuna.Study:
    """Opens the study, and makes it where there is none yet.

    Raises:
        ConfigError: the study there is of another search: its trials could not be compared.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(config.storage_location)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            storage=storage,
            study_name=config.name,
            directions=["maximize", "minimize"],
            load_if_exists=True,
            sampler=sampler,
        )
    ours = _facts(config, proxy)
    theirs = study.user_attrs.get(_FACTS)
    if theirs is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(["mean_iou", "multiply_adds"])
        study.set_user_attr(_FACTS, ours)
        return study
    changed = [key for key in ours if theirs.get(key) != ours[key]]
    if changed:
        key = changed[0]
        raise ConfigError(
            f"the study {config.name!r} was begun with another `{key}`: {_short(theirs.get(key))} "
            f"instead of {_short(ours[key])}. Go on with that one, or give the search another "
            "`name`"
        )
    return study


def make_ledger(
    config: SearchConfig, study: optuna.Study, space: SearchSpace, starts: Mapping[str, Topology]
) -> Ledger:
    """The slots of the configured search."""
    return Ledger(
        study,
        config.trials,
        [space.encode(topology) for topology in starts.values()],
        config.worker.grace_seconds,
        config.worker.retries,
    )


def filtered_sampler(
    config: SearchConfig,
    space: SearchSpace,
    starts: Mapping[str, Topology],
    accepts: Filter,
    known: set[str],
) -> optuna.samplers.BaseSampler:
    """The configured sampler, which passes over what the filter refuses and what is known.

    Args:
        config: of the search.
        space: of the search.
        starts: the warm starts.
        accepts: the filter.
        known: signatures of topologies that have been tried; may grow.
    """

    def is_new_and_worth_it(genes: Mapping[str, Any]) -> bool:
        topology = space.decode(genes)
        return accepts(topology) and topology.signature not in known

    genes = [space.encode(topology) for topology in starts.values()]
    return make_sampler(space, config.sampler, genes, is_new_and_worth_it, config.filter.draws)


def _facts(config: SearchConfig, proxy: RunConfig) -> dict[str, Any]:
    """What all trials of a study must share."""
    facts = {f"recipe: {key}": plain(getattr(proxy, key))
             for key in ("model", "data", "augmentation", "training")}  # fmt: skip
    # Where the data lie and how many threads there are may differ between machines.
    data = facts["recipe: data"]
    facts["recipe: data"] = {
        **data,
        "options": {k: v for k, v in data["options"].items() if k not in ("path", "data_dir")},
    }
    facts["space"] = plain(config.space)
    facts["cost_size"] = plain(config.cost_size)
    return facts


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "..."
