"""Checkpoints that are either whole or absent: a `.keras` file with the state of the run inside.

A checkpoint is written under a temporary name in the same folder, flushed to the disk, and only
then renamed over the previous one. A full disk or a kill at any moment leaves the previous file as
it was. What the disk or a copy damages later shows in the file's own checksums.
"""

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import keras
import numpy as np

from keras_ctxseg._limits import at_least, between, check_limits, require
from keras_ctxseg._options import MISMATCH, convert, describe
from keras_ctxseg._registration import register_classes
from keras_ctxseg._untrusted import UNREADABLE, check_keras_file, check_zip, first_line

STATE_FORMAT = 1
"""Of `training_state.json`; a larger number is a newer package's."""

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
        best_score: best value so far of the validation score that chooses `best.keras`.
        best_score_name: which score that is.
        step_in_epoch: steps taken in the epoch that is not finished yet.
        learning_rate: that epoch's, at its first step.
        epoch_logs: averages of an epoch whose steps are all taken, but that was neither validated
            nor logged yet.
        ended: whether a callback has ended the run before its last epoch.
        callbacks: states of callbacks that have one, by name.
    """

    epoch: Annotated[int, at_least(0)]
    step: Annotated[int, at_least(0)]
    best_mean_iou: Annotated[float, between(0, 1)] | None = None
    step_in_epoch: Annotated[int, at_least(0)] = 0
    learning_rate: Annotated[float, at_least(0)] | None = None
    epoch_logs: dict[str, float] | None = None
    ended: bool = False
    callbacks: dict[str, Any] = field(default_factory=dict)
    best_score: Annotated[float, between(0, 1)] | None = None
    best_score_name: str = "mean_iou"

    def __post_init__(self):
        check_limits(self)
        expected = f"at least the {self.step_in_epoch} steps of the epoch"
        require(self.step >= self.step_in_epoch, "step", expected, self.step)
        expected = f"at least one for each of the {self.epoch} epochs"
        require(self.step >= self.epoch, "step", expected, self.step)


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
            archive.writestr(_STATE_MEMBER, json.dumps({"format": STATE_FORMAT, **asdict(state)}))
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
        CheckpointError: if the file is missing, damaged, no checkpoint of a run, or a newer
            package's, or if the state is none that a run can have.
    """
    values = _read_member(Path(path), _STATE_MEMBER)
    try:
        return _state(values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {_STATE_MEMBER}: {error}") from None


def _state(values: Any) -> TrainingState:
    if not isinstance(values, dict):
        raise ValueError(f"expected a mapping of keys. Received: {values!r:.80}")
    written_as = values.pop("format", STATE_FORMAT)
    kinds = get_type_hints(TrainingState)
    unknown = sorted(values.keys() - kinds.keys())
    if written_as != STATE_FORMAT:
        raise ValueError(
            f"expected format {STATE_FORMAT}. Found: {written_as!r:.40}, of a newer keras_ctxseg"
        )
    if unknown:
        raise ValueError(f"unknown keys {', '.join(unknown)[:80]}; of a newer keras_ctxseg?")
    converted = {}
    for name, value in values.items():
        converted[name] = convert(value, kinds[name])
        if converted[name] is MISMATCH:
            raise ValueError(f"`{name}`: expected {describe(kinds[name])}. Received: {value!r:.80}")
    logs = converted.get("epoch_logs") or {}
    for name, value in logs.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        require(number, f"epoch_logs.{name}", "a number", value)
    return TrainingState(**converted)


def read_running_metrics(path: str | Path) -> list[np.ndarray]:
    """What `save_checkpoint` got as `running_metrics`.

    Raises:
        CheckpointError: if they cannot be read or are no finite numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive)
            if _METRICS_MEMBER not in archive.namelist():
                return []
            content = io.BytesIO(archive.read(_METRICS_MEMBER))
        with zipfile.ZipFile(content) as inner:
            check_zip(inner)
        with np.load(content) as arrays:
            metrics = [arrays[name] for name in arrays.files]
        if not all(np.all(np.isfinite(array)) for array in metrics):
            raise ValueError("expected finite numbers")
        return metrics
    except UNREADABLE as error:
        raise CheckpointError(f"{path}: {_METRICS_MEMBER}: {first_line(error)}") from None


def check_whole(path: str | Path) -> None:
    """Reads a checkpoint of a run from end to end: checksums, and all that a run goes on from.

    Raises:
        CheckpointError: if the file is cut short, altered or no checkpoint of a run.
    """
    path = Path(path)
    _check_file(path)
    read_state(path)
    _read_random_states(path)
    read_running_metrics(path)


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
    _check_file(path)
    register_classes()
    try:
        model = keras.models.load_model(path, compile=False)
    except UNREADABLE as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {first_line(error)}") from error
    check_num_classes(model, num_classes, path)
    return model


def check_num_classes(model: keras.Model, num_classes: int | None, path: str | Path) -> None:
    """Refuses a checkpoint whose classes are not those of the data.

    Raises:
        CheckpointError: if the model predicts another number of classes than `num_classes`.
    """
    output = getattr(model, "output", None)
    if not isinstance(output, Mapping) or "logits" not in output:
        raise CheckpointError(
            f"the checkpoint {path}: expected a model of keras_ctxseg, whose output is a dict with "
            f"`logits`. Found: {output!r:.80}"
        )
    found = int(output["logits"].shape[-1])
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
    except UNREADABLE as error:
        raise CheckpointError(
            f"cannot continue from {path}: it does not fit the configured model: "
            f"{first_line(error)}"
        ) from error
    # Keras only warns where the optimizer's variables do not fit, and leaves them as they were.
    if int(keras.ops.convert_to_numpy(counter)) < 0:
        raise CheckpointError(
            f"cannot continue from {path}: its optimizer or schedule is another one than configured"
        )
    seeds, values = _seed_variables(model), _read_random_states(Path(path))
    shapes, expected = [value.shape for value in values], [tuple(each.shape) for each in seeds]
    if shapes != expected:
        raise CheckpointError(
            f"cannot continue from {path}: {_RANDOM_MEMBER}: expected arrays of the shapes "
            f"{expected}, one for each random layer. Found: {shapes}"
        )
    for variable, value in zip(seeds, values, strict=True):
        variable.assign(value.tolist())
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


def _check_file(path: Path) -> None:
    try:
        check_keras_file(path, "the checkpoint")
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _read_random_states(path: Path) -> list[np.ndarray]:
    values = _read_member(path, _RANDOM_MEMBER)
    try:
        if not isinstance(values, list):
            raise ValueError(f"expected a list. Received: {values!r:.80}")
        arrays = [np.asarray(value) for value in values]
        for array in arrays:
            numbers = array.dtype.kind == "i" and array.size > 0
            if not numbers or array.min() < 0 or array.max() >= 2**32:
                raise ValueError(f"expected lists of 32-bit numbers. Received: {values!r:.80}")
        return arrays
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"{path}: {_RANDOM_MEMBER}: {error}") from None


def _read_member(path: Path, name: str) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive)
            if name not in archive.namelist():
                raise CheckpointError(f"{path} holds no {name}: it was not written by a run")
            return json.loads(archive.read(name))
    except CheckpointError:
        raise
    except UNREADABLE as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {first_line(error)}") from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
