"""From what a user points at, a run's folder or a checkpoint, to its parts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_ctxseg.runs.config import RunConfig
    from keras_ctxseg.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class OpenedRun:
    """A checkpoint and the configuration that goes with it.

    Attributes:
        config: of the run.
        checkpoint: the `.keras` file.
        folder: where results about it go.
        changes: in what it differs from the run's recipe and chosen checkpoint, each fit for a
            file's name, as in `("last", "flip=true")`.
        overrides: as they were given.
        data: path of the recipe whose data set stands in, if one was given.
    """

    config: RunConfig
    checkpoint: Path
    folder: Path
    changes: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    data: str | None = None


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", help="a run's folder (its best checkpoint is taken) or a .keras file"
    )


def open_run(run: str, overrides: Sequence[str] = (), data: str | None = None) -> OpenedRun:
    """Finds checkpoint and configuration, and imports the modules that the configuration names.

    Args:
        run: a run's folder, or a checkpoint; in the folder of a run its configuration is found.
        overrides: `key=value` on top of that configuration.
        data: a recipe whose `data` section replaces the run's, or that stands in where a
            checkpoint lies outside a run's folder.

    Raises:
        ValueError: if there is no such run, checkpoint, configuration or module.
    """
    from keras_ctxseg.runs.config import ConfigError
    from keras_ctxseg.runs.config_file import load_config
    from keras_ctxseg.runs.imports import import_modules
    from keras_ctxseg.runs.run_directory import RunDirectory

    path = Path(run)
    if path.is_dir():
        directory = RunDirectory(path)
        checkpoint = directory.chosen
        if not checkpoint.is_file():
            raise ConfigError(f"{path}: expected a run's folder with checkpoints/best.keras in it")
    elif path.is_file():
        directory, checkpoint = RunDirectory(path.resolve().parent.parent), path
    else:
        raise ConfigError(f"{path}: there is no such run or checkpoint")
    own = directory.config if directory.config.is_file() else None
    recipe = own or data
    if recipe is None:
        raise ConfigError(
            f"{checkpoint}: expected {directory.config} beside it. For a checkpoint outside a "
            f"run's folder give its recipe with --data CONFIG"
        )
    config = load_config(recipe, overrides)
    import_modules(config.imports, recipe)
    if own is not None and data is not None:
        config = replace(config, data=load_config(data, overrides).data)
    config = _reading_as_trained(config, directory, overrides)
    changes = [_for_file_name(override) for override in overrides]
    if own is not None and data is not None:
        changes.insert(0, Path(data).stem)
    if own is None or checkpoint.resolve() != directory.chosen.resolve():
        changes.insert(0, checkpoint.stem)
    folder = directory.path if own is not None else checkpoint.parent
    return OpenedRun(config, checkpoint, folder, tuple(changes), tuple(overrides), data)


def _reading_as_trained(
    config: RunConfig, directory: RunDirectory, overrides: Sequence[str]
) -> RunConfig:
    """The configuration with the run's own way to read images, such as the range it measured."""
    from keras_ctxseg.data.class_file import read_class_file

    if config.data.name != "folder" or not directory.classes.is_file():
        return config
    kept = read_class_file(directory.classes).images.as_dict()
    given = {override.partition("=")[0].rpartition(".")[2] for override in overrides}
    names = {"exif", "bands", "range"} & kept.keys() - given
    options: dict[str, Any] = {name: kept[name] for name in sorted(names)}
    data = replace(config.data, options={**config.data.options, **options})
    return replace(config, data=data)


def _for_file_name(override: str) -> str:
    """`"evaluation.scales=[0.75, 1.0]"` as `"scales=0.75,1.0"`: safe in shells and on disks."""
    key, equals, value = override.partition("=")
    override = key.rpartition(".")[2] + equals + value
    return re.sub(r"[^\w.,=-]+", "-", re.sub(r"[\[\]\s'\"]", "", override))


def parse_size(text: str) -> tuple[int, int]:
    """`"360x480"` as (360, 480), for argparse."""
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(
            f"expected HEIGHTxWIDTH, as in 360x480. Received: {text!r}"
        )
    return int(height), int(width)
