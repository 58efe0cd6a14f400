"""What is to be run, in which order, and which pairs answer which question: `plan.yaml`, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.runs.config_schema import plain


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        data: the key of its data set in the plan.
        recipe: name of its file, without `.yaml`.
        seed: of the training.
    """

    data: str
    recipe: str
    seed: int

    def __str__(self) -> str:
        return f"{self.data}/{self.recipe}/seed{self.seed}"


@dataclass(frozen=True)
class Pair:
    """A system and what it is measured against.

    Attributes:
        baseline, other: recipes.
        question: what the two answer.
    """

    baseline: str
    other: str
    question: str


@dataclass(frozen=True)
class DataSet:
    """What the plan says of one data set.

    Attributes:
        size: height and width that costs are measured at: what the network sees of a whole image.
        pairs: in the order of the page.
        pictured: recipes in the picture of disputed images; none where images must not be copied.
        questions: groups of classes that look alike, so that a run tells all of a group or none.
        block: validation images in a row that intervals take together.
    """

    size: tuple[int, int]
    pairs: tuple[Pair, ...]
    pictured: tuple[str, ...]
    questions: tuple[tuple[str, ...], ...]
    block: int


@dataclass(frozen=True)
class Plan:
    """The whole bake-off.

    Attributes:
        folder: of `plan.yaml`; recipes are `<folder>/<data>/<recipe>.yaml`, or that of the parent.
        jobs: in order of value.
        data: the data sets by key.
    """

    folder: Path
    jobs: tuple[Job, ...]
    data: Mapping[str, DataSet]

    def recipe(self, job: Job) -> Path:
        """The recipe's file."""
        own = self.folder / job.data / f"{job.recipe}.yaml"
        return own if own.is_file() else self.folder.parent / job.data / f"{job.recipe}.yaml"

    def config(self, job: Job, overrides: Sequence[str] = ()) -> RunConfig:
        """The resolved configuration of a job."""
        return load_config(
            self.recipe(job), [f"name=seed{job.seed}", f"training.seed={job.seed}", *overrides]
        )

    def recipes(self, data: str) -> list[str]:
        """The recipes of a data set, in order of value."""
        return list(dict.fromkeys(job.recipe for job in self.jobs if job.data == data))


def read_plan(path: str | Path) -> Plan:
    """Reads a plan.

    Raises:
        ConfigError: a key, a data set or a recipe that is not there; names it.
    """
    path = Path(path)
    with path.open(encoding="utf-8") as file:
        content = yaml.safe_load(file)
    try:
        data = {
            key: DataSet(
                size=(int(values["size"][0]), int(values["size"][1])),
                pairs=tuple(Pair(**pair) for pair in values.get("pairs", [])),
                pictured=tuple(values.get("pictured", [])),
                questions=tuple(map(tuple, values.get("questions", []))),
                block=values.get("block", 1),
            )
            for key, values in content["data"].items()
        }
        jobs = [
            Job(turn["data"], recipe, seed)
            for turn in content["order"]
            for seed in turn["seeds"]
            for recipe in turn["recipes"]
        ]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: expected `data` and `order` as in the plan: {error}") from None
    plan = Plan(path.parent, tuple(dict.fromkeys(jobs)), data)
    for job in plan.jobs:
        if job.data not in data or not plan.recipe(job).is_file():
            raise ConfigError(f"{path}: `order`: there is no {job.data}/{job.recipe}.yaml")
    for key, values in data.items():
        known = plan.recipes(key)
        named = [name for pair in values.pairs for name in (pair.baseline, pair.other)]
        for name in (*named, *values.pictured):
            if name not in known:
                raise ConfigError(f"{path}: `data.{key}`: {name!r} is not in `order`")
    return plan


def what_trains(config: RunConfig) -> dict[str, Any]:
    """All of a configuration that the weights depend on, and nothing about where files lie."""
    values = plain(config)
    data = {key: value for key, value in values["data"].items() if key not in ("cache", "check")}
    data["options"] = {k: v for k, v in data["options"].items() if k not in ("path", "data_dir")}
    ignored = ("validate_every", "overlay_images", "save_every_steps", "save_every_minutes",
               "keep_checkpoints")  # fmt: skip
    training = {key: value for key, value in values["training"].items() if key not in ignored}
    return {
        "model": values["model"],
        "data": data,
        "augmentation": values["augmentation"],
        "training": training,
    }
