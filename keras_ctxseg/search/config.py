"""The configuration of a search: its YAML file's keys, types and defaults, and how it is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from keras_ctxseg._limits import (
    FOLDER_NAME,
    SHARE_BELOW_1,
    Count,
    Limit,
    Positive,
    at_least,
    between,
    check_limits,
    require,
    sides,
)
from keras_ctxseg._naming import nearest
from keras_ctxseg.backbones.block_tables import TABLES
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_file import load_config, load_typed

COST = Limit("two numbers, the least first", lambda pair: 0 <= pair[0] < pair[1])


@dataclass(frozen=True)
class SpaceConfig:
    """Choices of the search space; see `SearchSpace`, which checks them."""

    level_adjustments: tuple[int, ...] = (-1, 0, 1, 2)
    types: tuple[str, ...] = ("bottleneck", "residual")
    dilations: tuple[int, ...] = (1, 2, 4)
    finest_levels: tuple[int, ...] = (3,)
    extra_levels: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class SamplerConfig:
    """How the next sample is made.

    Args:
        name: `nsga2`, evolution towards the Pareto front, or `tpe`, a model of good samples.
        population: of `nsga2`: finished trials in a generation.
        mutations: genes that change in a mutant of a warm start, and in a child of `nsga2`, on
            average.
        crossover: of `nsga2`: share of children with two parents.
        startup: of `tpe`: trials before the model is used.
        mutants: share of mutants of warm starts among the trials from which there is nothing to
            learn yet: `nsga2`'s first generation, `tpe`'s startup. The others are random.
        seed: null draws one, so that many workers do not draw alike.
    """

    name: Literal["nsga2", "tpe"] = "nsga2"
    population: Annotated[int, at_least(2)] = 24
    mutations: Positive = 3.0
    crossover: Annotated[float, between(0, 1)] = 0.5
    startup: Count = 30
    mutants: Annotated[float, between(0, 1)] = 0.75
    seed: int | None = None

    def __post_init__(self):
        check_limits(self, "sampler", ConfigError)


@dataclass(frozen=True)
class FilterConfig:
    """Samples that are passed over before anything is trained; arithmetic on the table tells.

    Args:
        cost: least and greatest multiply-adds, as multiples of the parent topology's.
        parameters: greatest number of parameters, as a multiple of the parent topology's.
        used_blocks: least number of blocks that the head depends on.
        draws: samples drawn for one trial before the last is taken as it is.
    """

    cost: Annotated[tuple[float, float], COST] = (0.4, 1.2)
    parameters: Positive = 1.5
    used_blocks: Count = 7
    draws: Count = 200

    def __post_init__(self):
        check_limits(self, "filter", ConfigError)


@dataclass(frozen=True)
class StoppingConfig:
    """When a trial ends early; see `hopeless`.

    Args:
        quantile: a trial goes on while its validation mIoU is at least this quantile of its peers';
            0 stops none.
        peers: trials that must have come as far, at no more multiply-adds, before any is stopped.
        cost_slack: peers may have so many times the trial's multiply-adds.
        from_epoch: first epoch whose validation may stop a trial.
    """

    quantile: Annotated[float, SHARE_BELOW_1] = 0.4
    peers: Count = 8
    cost_slack: Annotated[float, at_least(1)] = 1.05
    from_epoch: Count = 1

    def __post_init__(self):
        check_limits(self, "stopping", ConfigError)


@dataclass(frozen=True)
class WorkerConfig:
    """One process that takes trials, and how others see whether it lives.

    Args:
        beat_seconds: between two signs of life.
        grace_seconds: without one before others give its trial to somebody else; a worker of the
            same machine whose process is gone is noticed at once.
        retries: of a trial whose worker was lost; after that it counts as failed.
        failures: trials that fail one after another before the search stops and says why.
        threads: of TensorFlow in each trial; null leaves it to TensorFlow.
        keep_checkpoints: keep each trial's weights, not its log and recipe alone.
    """

    beat_seconds: Positive = 15.0
    grace_seconds: float = 300.0
    retries: Annotated[int, at_least(0)] = 3
    failures: Count = 8
    threads: Count | None = None
    keep_checkpoints: bool = False

    def __post_init__(self):
        check_limits(self, "worker", ConfigError)
        require(self.grace_seconds > 2 * self.beat_seconds, "worker.grace_seconds",
                "more than two beats", self.grace_seconds, ConfigError)  # fmt: skip


@dataclass(frozen=True)
class SearchConfig:
    """One search. Its files live in `<output_dir>/<name>/`, which `directory` gives.

    Args:
        name: of the study and of its folder.
        recipe: the proxy task: a training recipe with a `spinenet_seg_*` model, a path relative to
            this file. Each trial is one such run.
        overrides: `key=value` on top of it.
        final_recipe: what the best tables are written out with, ready to train; null takes
            `recipe`.
        trials: that are finished in the end, warm starts and failed networks included.
        cost_size: height and width at which multiply-adds count.
        warm_start: topologies that are tried first: `hand_dilated` and `parent` (the parent's
            topology, with dilations set by hand or 1), `searched`, or paths of block tables.
        storage: null is a journal file in the folder; else the path of one, `sqlite:///PATH`,
            another database URL of SQLAlchemy's, or `grpc://HOST:PORT`.
    """

    name: Annotated[str, FOLDER_NAME]
    recipe: str
    overrides: tuple[str, ...] = ()
    final_recipe: str | None = None
    trials: Count = 200
    cost_size: Annotated[tuple[int, int], sides(33)] = (512, 512)
    warm_start: tuple[str, ...] = ("hand_dilated", "parent")
    storage: str | None = None
    output_dir: str = "runs/search"
    space: SpaceConfig = field(default_factory=SpaceConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    stopping: StoppingConfig = field(default_factory=StoppingConfig)
    worker: WorkerConfig = field(default_factory=WorkerConfig)

    def __post_init__(self):
        check_limits(self, error=ConfigError)

    @property
    def directory(self) -> Path:
        return Path(self.output_dir) / self.name

    @property
    def storage_location(self) -> str:
        """`storage`, or the journal file that stands for null."""
        return self.storage or str(self.directory / "journal.log")


MODEL_PREFIX = "spinenet_seg_"


def load_search_config(path: str | Path, overrides: Iterable[str] = ()) -> SearchConfig:
    """Reads a search's YAML file: `base:` and `key=value` work as for training recipes.

    Paths in it (`recipe`, `final_recipe`, block tables of `warm_start`) are relative to the file,
    and come back as they read from here.

    Raises:
        ConfigError: names the file, the key, what was expected and what was found.
    """
    config = load_typed(path, SearchConfig, overrides)
    folder = Path(path).parent

    def found(name: str, key: str) -> str:
        there = folder / name
        if not there.is_file():
            hint = nearest(name, TABLES) if key == "warm_start" else ""
            raise ConfigError(f"{path}: `{key}`: there is no file {there}.{hint}")
        return str(there)

    warm = tuple(
        name if name in TABLES else found(name, "warm_start") for name in config.warm_start
    )
    final = config.final_recipe
    return replace(
        config,
        recipe=found(config.recipe, "recipe"),
        final_recipe=None if final is None else found(final, "final_recipe"),
        warm_start=warm,
    )


def load_proxy(config: SearchConfig) -> RunConfig:
    """The training run that each trial is one of.

    Raises:
        ConfigError: the recipe cannot be used, or is not of a `spinenet_seg_*` model.
    """
    proxy = load_config(config.recipe, config.overrides)
    if not proxy.model.name.startswith(MODEL_PREFIX):
        raise ConfigError(
            f"{config.recipe}: `model.name`: expected {MODEL_PREFIX}<scale>, whose topology is "
            f"searched. Received: {proxy.model.name!r}"
        )
    if proxy.model.weights is not None:
        raise ConfigError(
            f"{config.recipe}: `model.weights`: expected null, as each trial is another network. "
            f"Received: {proxy.model.weights!r}"
        )
    return proxy
