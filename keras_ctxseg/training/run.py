"""One training run from a configuration: build, compile, fit, validate, keep."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras_ctxseg as ctx
from keras_ctxseg.training import assembly
from keras_ctxseg.training.checkpoint import TrainingState, remove_partial_checkpoints, restore
from keras_ctxseg.training.compilation import compile_arguments
from keras_ctxseg.training.config import RunConfig
from keras_ctxseg.training.csv_log import CsvLog
from keras_ctxseg.training.plan import Plan
from keras_ctxseg.training.run_directory import RunDirectory
from keras_ctxseg.training.validation import (
    LearningRateLog,
    SaveLast,
    StopAfterSteps,
    Validation,
)


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
    resume: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> RunResult:
    """Trains the configured network; everything lands in `config.directory`.

    Args:
        config: the run.
        resume: go on from the run directory's last checkpoint. With the same configuration the
            weights become those of a run that was never stopped.
        overwrite: discard an earlier run in the directory.
        say: takes the lines that tell what is being done.

    Raises:
        ValueError: a configuration, data or checkpoint that cannot be used, a directory that holds
            a run already, a loss that is no number; in every case with what to change.
    """
    directory = RunDirectory(config.directory)
    if overwrite and not resume:
        directory.discard()
    if not resume:
        directory.refuse_if_used()
    dataset = assembly.load_dataset(config)
    pipeline = assembly.build_pipeline(config, dataset)
    plan = Plan.of(config.training, pipeline.steps_per_epoch)
    model = assembly.build_model(config, dataset.num_classes)
    model.compile(
        **compile_arguments(model, config.training, dataset.ignore_label, plan.total_steps)
    )
    state = _begin(model, config, dataset, directory, resume, say)
    _say_facts(model, config, dataset, plan, state, say)
    seconds = 0.0
    if state.epoch < plan.epochs:
        began = time.perf_counter()
        state = _fit(model, config, dataset, pipeline, plan, state)
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


def _begin(model, config, dataset, directory, resume, say) -> TrainingState:
    for leftover in remove_partial_checkpoints(directory.checkpoints):
        say(f"Removed {leftover}, left by a save that was cut off.")
    if resume:
        for change in directory.changes(config):
            say(f"Changed since the run began: {change}")
    state = TrainingState(epoch=0, step=0)
    if resume and directory.last.exists():
        state = restore(model, directory.last)
    directory.describe(config, dataset)
    return state


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
        say(f"Resuming   after epoch {state.epoch}, step {state.step}")


def _fit(model, config, dataset, pipeline, plan, state) -> TrainingState:
    from keras_ctxseg.training.tensorboard import Overlays, ScalarLog, open_writer

    training, directory = config.training, RunDirectory(config.directory)
    split = config.data.validation_split
    examples = ctx.data.evaluation_examples(dataset, split, config.data.image_scale)
    evaluator = ctx.evaluation.Evaluator(
        model,
        dataset.num_classes,
        dataset.ignore_label,
        dataset.class_names,
        batch_size=config.evaluation.batch_size,
    )
    writer = open_writer(directory.tensorboard)
    overlays = Overlays(
        writer, evaluator, dataset.palette, examples, training.overlay_images, dataset.splits[split]
    )
    validation = Validation(
        lambda: evaluator(examples),
        directory,
        plan,
        training.validate_every,
        state.best_mean_iou,
        on_validated=overlays,
    )
    save_last = SaveLast(directory, plan, validation)
    callbacks = [
        LearningRateLog(),
        validation,
        CsvLog(directory.log, state.epoch),
        ScalarLog(writer, plan.step_after),
        save_last,
    ]
    if plan.total_steps % plan.steps_per_epoch:
        callbacks.append(StopAfterSteps(plan))
    model.fit(
        pipeline.build(start_step=state.step),
        steps_per_epoch=plan.steps_per_epoch,
        initial_epoch=state.epoch,
        epochs=plan.epochs,
        shuffle=False,  # The pipeline does it; True makes Keras warn.
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 2,  # A bar needs a terminal; a file gets a line.
    )
    writer.close()
    return save_last.state or state
