"""Optuna's samplers on the search space: begun near the warm starts, with the filter in front."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from keras_ctxseg.search.config import SamplerConfig
from keras_ctxseg.search.space import SearchSpace


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The genes as Optuna's parameters."""
    return {
        name: CategoricalDistribution(choices) if choices else FloatDistribution(0.0, 1.0)
        for name, choices in space.genes.items()
    }


def make_sampler(
    space: SearchSpace,
    config: SamplerConfig,
    starts: Sequence[Mapping[str, Any]],
    accepts: Callable[[Mapping[str, Any]], bool],
    draws: int,
) -> optuna.samplers.BaseSampler:
    """The configured sampler, which draws until `accepts(genes)`, at most `draws` times.

    Args:
        space: what is sampled.
        config: how.
        starts: genes of the warm starts, of which the first samples are mutants.
        accepts: whether a sample is worth a trial.
        draws: at most so many for one trial; the last is taken as it is.
    """
    base: optuna.samplers.BaseSampler
    mutation = min(1.0, config.mutations / len(space.genes))
    if config.name == "nsga2":
        base = optuna.samplers.NSGAIISampler(
            population_size=config.population,
            mutation_prob=mutation,
            crossover_prob=config.crossover,
            seed=config.seed,
        )
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            base = optuna.samplers.TPESampler(
                n_startup_trials=config.startup,
                multivariate=True,
                constant_liar=True,
                seed=config.seed,
            )
    rng = np.random.default_rng(config.seed)

    def first() -> dict[str, Any]:
        if not starts or rng.random() >= config.mutants:
            return space.random(rng)
        return space.mutant(starts[int(rng.integers(len(starts)))], mutation, rng)

    return FilteredSampler(base, distributions(space), first, accepts, draws)


class FilteredSampler(optuna.samplers.BaseSampler):
    """Draws from another sampler until a sample is accepted.

    Inside the sampler, since a trial whose parameters are known cannot draw again: so what the
    filter turns away costs no trial.

    Args:
        base: draws.
        space: all parameters; every trial has every one.
        first: draws while there is nothing that the base could learn from.
        accepts: whether a complete sample is worth a trial.
        draws: at most so many; the last is taken as it is.
    """

    def __init__(
        self,
        base: optuna.samplers.BaseSampler,
        space: Mapping[str, BaseDistribution],
        first: Callable[[], dict[str, Any]],
        accepts: Callable[[Mapping[str, Any]], bool],
        draws: int,
    ):
        self.base = base
        self.space = dict(space)
        self.first = first
        self.accepts = accepts
        self.draws = draws

    def infer_relative_search_space(self, study, trial):
        return self.space

    def sample_relative(self, study, trial, search_space):
        sample: dict[str, Any] = {}
        if "fixed_params" in trial.system_attrs and set(trial.system_attrs["fixed_params"]) == set(
            self.space
        ):
            # A warm start or a retry; the draw is for what the base notes about the trial.
            self._draw(study, trial)
            return {}
        for _ in range(self.draws):
            sample = self._draw(study, trial)
            if self.accepts(sample):
                break
        return sample

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.base.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study, trial):
        self.base.before_trial(study, trial)

    def after_trial(self, study, trial, state, values):
        self.base.after_trial(study, trial, state, values)

    def reseed_rng(self):
        self.base.reseed_rng()

    def _draw(self, study, trial) -> dict[str, Any]:
        known = self.base.infer_relative_search_space(study, trial)
        sample = dict(self.base.sample_relative(study, trial, known)) or self.first()
        for name, distribution in self.space.items():
            if name not in sample:
                sample[name] = self.base.sample_independent(study, trial, name, distribution)
        return sample
