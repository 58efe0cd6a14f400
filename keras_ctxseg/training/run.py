"""One training run from a configuration: build, compile, fit, validate, keep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras

from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.config import RunConfig
from keras_ctxseg.runs.imports import import_modules
from keras_ctxseg.runs.run_directory import RunDirectory
from keras_ctxseg.training.data_check import check_data
from keras_ctxseg.training.fitting import fit
from keras_ctxseg.training.recipe_parts import build_callbacks, check_names
from keras_ctxseg.training.session import Session
from keras_ctxseg.training.strategy import create_strategy


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Args:
        directory: the run's folder with `config.yaml`, `checkpoints/`, `log.csv` and
            `tensorboard/`.
        epochs, steps: finished, over all its processes.
        best_mean_iou: highest one of the validations, in 0...1.
        best_score: highest value of the score that chose `best.keras`, in 0...1.
        parameters: of the network, trainable or not.
        seconds: spent in `fit` by this process, validation included.
    """

    directory: Path
    epochs: int
    steps: int
    best_mean_iou: float | None
    best_score: float | None
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
            a run already, a loss that is NaN or infinite; in every case with what to change.
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
    check_data(config, say)
    session = Session(config, strategy, callbacks, say)
    session.begin(bool(resume))
    _say_facts(session)
    seconds = 0.0
    if session.state.ended and callbacks:
        session.say(
            f"The run was ended by a callback after epoch {session.state.epoch}; without its "
            "callbacks it goes on."
        )
    elif session.state.epoch < session.plan.epochs:
        began = time.perf_counter()
        fit(session)
        seconds = time.perf_counter() - began
    else:
        session.say(
            f"The run is complete after {session.state.epoch} epochs; raise training.epochs to go "
            "on."
        )
    return RunResult(
        directory.path,
        session.saved.epoch,
        session.saved.step,
        session.saved.best_mean_iou,
        session.saved.best_score,
        session.model.count_params(),
        seconds,
    )


def _say_facts(session: Session) -> None:
    config, model, plan, state = session.config, session.model, session.plan, session.state
    dataset, say = session.dataset, session.say
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
