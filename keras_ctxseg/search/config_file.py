"""Reads the YAML file of a search, and the recipes that it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from keras_ctxseg._naming import nearest
from keras_ctxseg.backbones.block_tables import TABLES
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_file import load_config, load_typed
from keras_ctxseg.search.config import SearchConfig

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
