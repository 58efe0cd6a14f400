"""Where the files of a run live, and when a run may write there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ctxseg.models.weights_elsewhere import absolute
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_file import load_config, save_config
from keras_ctxseg.runs.config_schema import plain
from keras_ctxseg.runs.imports import anchored, described, keep_files

if TYPE_CHECKING:
    from keras_ctxseg.data import SegmentationDataset


@dataclass(frozen=True)
class RunDirectory:
    """Paths of one run; nothing is read or written until a method asks for it."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def classes(self) -> Path:
        """Names and colours of the classes, so that prediction needs no data set."""
        return self.path / "classes.json"

    @property
    def imports(self) -> Path:
        """Copies of the files that the recipe imports."""
        return self.path / "imports"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest state, raw weights and optimizer: what a resumed run goes on from."""
        return self.checkpoints / "last.keras"

    @property
    def best(self) -> Path:
        """The weights with the best validation mIoU, averaged ones where the run averages."""
        return self.checkpoints / "best.keras"

    @property
    def chosen(self) -> Path:
        """What a command takes that is given the folder: the best, or where none is, the last."""
        return self.best if self.best.is_file() else self.last

    def evaluation(self, split: str, changes: Sequence[str] = ()) -> Path:
        """The folder for the scores of a split.

        Args:
            split: its name.
            changes: in what the evaluation differs from what the run's recipe says of its chosen
                checkpoint, as in `("last", "flip=true")`: the scores of each have their own folder.
        """
        return self.path / "evaluation" / "+".join([split, *changes])

    @property
    def log(self) -> Path:
        return self.path / "log.csv"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def diverged(self) -> Path:
        """Batches on which the loss became NaN or infinite."""
        return self.path / "diverged"

    def refuse_if_used(self) -> None:
        """Raises `ConfigError` where checkpoints of an earlier run would be overwritten."""
        if any(self.checkpoints.glob("*.keras")):
            raise ConfigError(
                f"{self.path} already holds a run. Continue it with --resume, discard it with "
                f"--overwrite, or choose another `name` or `output_dir`"
            )

    def discard(self) -> None:
        """Deletes checkpoints and logs of an earlier run, and nothing else in the folder."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.tensorboard, ignore_errors=True)
        shutil.rmtree(self.diverged, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def describe(self, config: RunConfig, dataset: SegmentationDataset) -> None:
        """Writes `config.yaml`, its paths absolute, `classes.json`, and copies what is imported."""
        classes = {
            "classes": list(dataset.class_names),
            "palette": dataset.palette.tolist(),
            "ignore_label": dataset.ignore_label,
        }
        if dataset.is_panoptic:
            classes["things"] = [dataset.class_names[k] for k in dataset.thing_classes]
        images = dataset.reading.as_dict()
        if images.get("channels") == 3:
            del images["channels"]  # as by default
        if images:
            classes["images"] = images
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            kept = keep_files(config.imports, self.imports)
            save_config(replace(with_absolute_paths(config), imports=kept), self.config)
            self.classes.write_text(json.dumps(classes) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write the run directory {self.path}: {error}") from None

    def changes(self, config: RunConfig) -> list[str]:
        """Lines `key: old -> new` for what `config` says otherwise than the file of the run."""
        if not self.config.is_file():
            return []
        before, after = (
            _leaves(plain(with_absolute_paths(each)) | {"imports": described(each.imports)})
            for each in (load_config(self.config), config)
        )
        keys = sorted(set(before) | set(after))
        return [
            f"{key}: {before.get(key)} -> {after.get(key)}"
            for key in keys
            if before.get(key) != after.get(key)
        ]


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The configuration as it reads from any working directory.

    Made absolute are `output_dir`, `model.weights`, files among `imports` and those options of the
    data set that are paths or patterns of paths. `export.directory` stays: it says where a command
    writes, relative to where it is started.
    """
    options = dict(config.data.options)
    # Here, as the data sets' own modules need TensorFlow.
    from keras_ctxseg.data.registry import dataset_options, list_datasets

    known = dataset_options(config.data.name) if config.data.name in list_datasets() else {}
    for name, option in known.items():
        if option.is_path and name in options:
            options[name] = _absolute(options[name])
    weights = config.model.weights
    return replace(
        config,
        output_dir=os.path.abspath(config.output_dir),
        imports=tuple(anchored(name, Path.cwd()) for name in config.imports),
        data=replace(config.data, options=options),
        model=replace(config.model, weights=None if weights is None else absolute(weights)),
    )


def _absolute(paths: Any) -> Any:
    """A path, or several in a mapping, made absolute; null stays."""
    if isinstance(paths, Mapping):
        return {key: _absolute(path) for key, path in paths.items()}
    if isinstance(paths, (str, os.PathLike)):
        return os.path.abspath(os.path.expanduser(paths))
    return paths


def _leaves(values: dict, prefix: str = "") -> dict:
    leaves = {}
    for key, value in values.items():
        if isinstance(value, dict):
            leaves.update(_leaves(value, f"{prefix}{key}."))
        else:
            leaves[prefix + key] = value
    return leaves
