"""Checkpoints that are either whole or absent: a `.keras` file with the state of the run inside.

A checkpoint is written under a temporary name in the same folder, flushed to the disk, and only
then renamed over the previous one. A full disk or a kill at any moment leaves the previous file as
it was. What the disk or a copy damages later shows in the file's own checksums.
"""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ctxseg._registration import register_classes

_STATE_MEMBER = "training_state.json"
_RANDOM_MEMBER = "random_states.json"
_METRICS_MEMBER = "running_metrics.npz"
_PARTIAL = ".partial.keras"


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or read; the message names the file."""


@dataclass(frozen=True)
class TrainingState:
    """How far a run is.

    Args:
        epoch: finished epochs.
        step: optimizer steps taken, batches of the training stream consumed.
        best_mean_iou: best validation mIoU so far; None before the first validation.
        step_in_epoch: steps taken in the epoch that is not finished yet.
        learning_rate: that epoch's, at its first step.
        epoch_logs: averages of an epoch whose steps are all taken, but that was neither validated
            nor logged yet.
        ended: whether a callback has ended the run before its last epoch.
        callbacks: states of callbacks that have one, by name.
    """

    epoch: int
    step: int
    best_mean_iou: float | None = None
    step_in_epoch: int = 0
    learning_rate: float | None = None
    epoch_logs: dict[str, float] | None = None
    ended: bool = False
    callbacks: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    model: keras.Model,
    path: str | Path,
    state: TrainingState,
    running_metrics: Sequence[np.ndarray] = (),
) -> None:
    """Writes model, optimizer and `state` to `path`, atomically.

    Args:
        model: a compiled model.
        path: a `.keras` file.
        state: how far the run is.
        running_metrics: what the metrics of an unfinished epoch have added up.

    Raises:
        CheckpointError: if the file system refuses; `path` then still holds what it held before.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(partial)
        with zipfile.ZipFile(partial, "a") as archive:
            archive.writestr(_STATE_MEMBER, json.dumps(asdict(state)))
            archive.writestr(_RANDOM_MEMBER, json.dumps(_random_states(model)))
            if running_metrics:
                arrays = io.BytesIO()
                np.savez(arrays, *running_metrics)
                archive.writestr(_METRICS_MEMBER, arrays.getvalue())
        _flush(partial)
        os.replace(partial, path)
        _flush(path.parent)
    except (OSError, RuntimeError) as error:  # h5py turns some failed writes into RuntimeError.
        partial.unlink(missing_ok=True)
        kept = (
            f"the previous checkpoint there is kept ({path})"
            if path.exists()
            else "nothing was saved"
        )
        raise CheckpointError(f"cannot write the checkpoint {path}: {error}; {kept}") from error


def read_state(path: str | Path) -> TrainingState:
    """The state of the run inside a checkpoint.

    Raises:
        CheckpointError: if the file is missing, damaged or no checkpoint of a run.
    """
    return TrainingState(**_read_member(Path(path), _STATE_MEMBER))


def read_running_metrics(path: str | Path) -> list[np.ndarray]:
    """What `save_checkpoint` got as `running_metrics`."""
    with zipfile.ZipFile(path) as archive:
        if _METRICS_MEMBER not in archive.namelist():
            return []
        with np.load(io.BytesIO(archive.read(_METRICS_MEMBER))) as arrays:
            return [arrays[name] for name in arrays.files]


def check_whole(path: str | Path) -> None:
    """Reads a checkpoint of a run from end to end and compares it with its checksums.

    Raises:
        CheckpointError: if the file is cut short, altered or no checkpoint of a run.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error}") from None
    if damaged is not None:
        raise CheckpointError(f"the checkpoint {path} is damaged: {damaged} fails its checksum")
    read_state(path)


def load_checkpoint(path: str | Path, num_classes: int | None = None) -> keras.Model:
    """The network of a checkpoint, without its optimizer.

    Args:
        path: a `.keras` file.
        num_classes: how many classes the model must predict, where that is known from the data.

    Raises:
        CheckpointError: if the file cannot be read or predicts another number of classes.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    register_classes()
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        first_line = (
            str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        )
        raise CheckpointError(f"cannot read the checkpoint {path}: {first_line}") from error
    check_num_classes(model, num_classes, path)
    return model


def check_num_classes(model: keras.Model, num_classes: int | None, path: str | Path) -> None:
    """Refuses a checkpoint whose classes are not those of the data.

    Raises:
        CheckpointError: if the model predicts another number of classes than `num_classes`.
    """
    found = int(model.output["logits"].shape[-1])
    if num_classes is not None and found != num_classes:
        raise CheckpointError(
            f"`num_classes` disagrees: the checkpoint {path} predicts {found} classes, "
            f"the data and configuration have {num_classes}"
        )


def restore(model: keras.Model, path: str | Path) -> TrainingState:
    """Loads weights and optimizer of a checkpoint into a compiled model of the same configuration.

    Raises:
        CheckpointError: if the file is damaged or belongs to another network or optimizer.
    """
    state = read_state(path)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # Under loss scaling.
    counter = next(variable for variable in inner.variables if variable.name == "iteration")
    counter.assign(-1)
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"cannot continue from {path}: it does not fit the configured model: {first_line}"
        ) from error
    # Keras only warns where the optimizer's variables do not fit, and leaves them as they were.
    if int(keras.ops.convert_to_numpy(counter)) < 0:
        raise CheckpointError(
            f"cannot continue from {path}: its optimizer or schedule is another one than configured"
        )
    seeds = _seed_variables(model)
    for variable, value in zip(seeds, _read_member(Path(path), _RANDOM_MEMBER), strict=True):
        variable.assign(value)
    return state


def remove_partial_checkpoints(directory: str | Path) -> list[Path]:
    """Deletes what a killed run left half written; returns the paths."""
    leftovers = sorted(Path(directory).glob(f".*{_PARTIAL}"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


def _seed_variables(model: keras.Model) -> list:
    """Counters of dropout and the like, which Keras leaves out of its files."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


def _random_states(model: keras.Model) -> list[list[int]]:
    return [keras.ops.convert_to_numpy(variable).tolist() for variable in _seed_variables(model)]


def _read_member(path: Path, name: str) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(name))
    except KeyError:
        raise CheckpointError(f"{path} holds no {name}: it was not written by a run") from None
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error}") from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
