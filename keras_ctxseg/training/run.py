"""One training run from a configuration: build, compile, fit, validate, keep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import keras

from keras_ctxseg.distribution.workers import Workers
from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.checkpoint import (
    TrainingState,
    read_running_metrics,
    remove_partial_checkpoints,
)
from keras_ctxseg.runs.checkpoint_history import CheckpointHistory
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.imports import import_modules
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.runs.run_directory import RunDirectory
from keras_ctxseg.training.compilation import compile_arguments
from keras_ctxseg.training.data_check import check_data
from keras_ctxseg.training.fitting import Fitting
from keras_ctxseg.training.recipe_parts import build_callbacks, check_names
from keras_ctxseg.training.strategy import create_strategy


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Args:
        directory: the run's folder with `config.yaml`, `checkpoints/`, `log.csv` and
            `tensorboard/`.
        epochs, steps: finished, over all its processes.
        best_mean_iou: of the validation, in 0...1.
        parameters: of the network, trainable or not.
        seconds: spent in `fit` by this process, validation included.
    """

    directory: Path
    epochs: int
    steps: int
    best_mean_iou: float | None
    parameters: int
    seconds: float


def train(
    config: RunConfig,
    resume: bool | Literal["auto"] = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> RunResult:
    """Trains the configured network; everything lands in `config.directory`.

    Args:
        config: the run.
        resume: go on from the run directory's newest checkpoint that is whole, and begin where
            there is none; "auto" is another word for it. With the same configuration the weights
            become those of a run that was never stopped.
        overwrite: discard an earlier run in the directory.
        say: takes the lines that tell what is being done.
        callbacks: Keras callbacks that run after those of `training.callbacks`. The run's
            configuration does not hold them: pass them again to resume.

    Raises:
        ValueError: a configuration, data or checkpoint that cannot be used, a directory that holds
            a run already, a loss that is no number; in every case with what to change.
        PreemptedError: SIGTERM or SIGINT came, and the run is saved.
        OSError: a file of the run cannot be written; what was saved before is kept.
    """
    directory = RunDirectory(config.directory)
    if overwrite and not resume:
        directory.discard()
    if not resume:
        directory.refuse_if_used()
    # Before anything else of TensorFlow, which several workers insist on.
    strategy = create_strategy(config.training.strategy, config.training.communication)
    assembly.check_batch_size(config, strategy)
    import_modules(config.imports, f"the run {config.name}")
    check_names(config.training)
    callbacks = [*build_callbacks(config.training, directory.path), *callbacks]
    history = CheckpointHistory(directory.last, config.training.keep_checkpoints)
    check_data(config, say)
    dataset = assembly.load_dataset(config)
    pipeline = assembly.build_pipeline(config, dataset)
    plan = Plan.of(config.training, pipeline.steps_per_epoch)
    with strategy.scope():
        model = _build(config, dataset.num_classes, resumed=bool(history.paths()))
        assembly.check_panoptic(model, dataset)
        model.compile(
            **compile_arguments(model, config.training, dataset.ignore_label, plan.total_steps)
        )
    workers = Workers(model.distribute_strategy)
    if not workers.is_chief:
        say = _silent
    with strategy.scope():  # A checkpoint builds the optimizer's variables.
        state, running_metrics = _begin(model, config, directory, history, workers, resume, say)
    if workers.is_chief:
        directory.describe(config, dataset)
    _say_facts(model, config, dataset, plan, state, say)
    seconds = 0.0
    if state.ended and callbacks:
        say(
            f"The run was ended by a callback after epoch {state.epoch}; without its callbacks it "
            "goes on."
        )
    elif state.epoch < plan.epochs:
        fitting = Fitting(
            model,
            config,
            dataset,
            pipeline,
            plan,
            workers,
            history,
            replace(state, ended=False),
            running_metrics,
            say,
            callbacks,
        )
        began = time.perf_counter()
        state = fitting()
        seconds = time.perf_counter() - began
    else:
        say(f"The run is complete after {state.epoch} epochs; raise training.epochs to go on.")
    return RunResult(
        directory.path,
        state.epoch,
        state.step,
        state.best_mean_iou,
        model.count_params(),
        seconds,
    )


def _build(config, num_classes, resumed):
    if resumed:  # The weights that the run began with may be gone by now.
        config = replace(config, model=replace(config.model, weights=None))
    return assembly.build_model(config, num_classes)


def _begin(model, config, directory, history, workers, resume, say):
    """The state to begin with, and what the metrics of its epoch have added up."""
    state, running_metrics = TrainingState(epoch=0, step=0), []
    if workers.is_chief:
        for leftover in remove_partial_checkpoints(directory.checkpoints):
            say(f"Removed {leftover}, left by a save that was cut off.")
    if resume:
        for change in directory.changes(config):
            say(f"Changed since the run began: {change}")
        restored = history.restore(model, say)
        if restored is None:
            say(f"There is no checkpoint in {directory.checkpoints}: the run begins.")
        else:
            state, path = restored
            running_metrics = read_running_metrics(path)
    steps = workers.gather([state.step])[:, 0].astype(int).tolist()
    if len(set(steps)) > 1:
        raise ConfigError(
            f"`output_dir`: expected one folder that all workers see. The workers found "
            f"checkpoints of different steps in {config.output_dir}: {steps}"
        )
    return state, running_metrics


def _silent(line: str) -> None:
    pass


def _say_facts(model, config, dataset, plan, state, say) -> None:
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    train_split, validation_split = config.data.train_split, config.data.validation_split
    say(
        f"Model      {config.model.name}, {model.count_params():,} parameters, "
        f"{trainable:,} of them trainable"
    )
    say(
        f"Data       {dataset.name}, {dataset.num_classes} classes, "
        f"{dataset.splits[train_split]} images in {train_split}, "
        f"{dataset.splits[validation_split]} in {validation_split}"
    )
    say(
        f"Steps      {plan.total_steps} of {config.training.batch_size} images, "
        f"{plan.epochs} epochs of {plan.steps_per_epoch}"
    )
    say(f"Directory  {config.directory}")
    if state.step:
        inside = f", {state.step_in_epoch} steps of the next" if state.step_in_epoch else ""
        say(f"Resuming   after epoch {state.epoch}{inside}, step {state.step}")
