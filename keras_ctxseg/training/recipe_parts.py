"""Optimizer, schedule, losses, metrics and callbacks that a recipe names.

Those of others are found by name; see docs/extending.md for what each of them gets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_ctxseg._named import Named, call, find, make, parameters
from keras_ctxseg.losses import (
    BoundaryLoss,
    DiceLoss,
    FocalLoss,
    JaccardLoss,
    LovaszSoftmaxLoss,
    SegmentationCrossentropy,
    TverskyLoss,
)
from keras_ctxseg.losses.weighted_sum import WeightedSum
from keras_ctxseg.runs.config import ConfigError, LossConfig, TrainingConfig
from keras_ctxseg.training.optimizers import SGD, AdamW, LossScaleOptimizer
from keras_ctxseg.training.schedule import PolyDecay
from keras_ctxseg.training.selection import EarlyStopping

CROSSENTROPY = "crossentropy"
_LOSSES: dict[str, type[keras.losses.Loss]] = {
    "boundary": BoundaryLoss,
    "dice": DiceLoss,
    "focal": FocalLoss,
    "jaccard": JaccardLoss,
    "lovasz_softmax": LovaszSoftmaxLoss,
    "tversky": TverskyLoss,
}


def check_names(training: TrainingConfig) -> None:
    """Finds everything that a recipe names, so that a mistake shows before data are read.

    Raises:
        ValueError: a name that is not there; the message names the key.
    """
    for name, key in _names(training):
        find(name, key)


def build_optimizer(training: TrainingConfig, total_steps: int) -> keras.optimizers.Optimizer:
    """The optimizer that a recipe asks for, its schedule laid out over `total_steps`."""
    rate = _learning_rate(training, total_steps)
    if training.optimizer in ("sgd", "adamw"):
        optimizer = _own_optimizer(training, rate)
    else:
        optimizer = _other_optimizer(training, rate)
    if training.precision == "mixed_float16":
        # `compile` would wrap it too, but a model loaded from a file would then lack the wrapper.
        optimizer = LossScaleOptimizer(optimizer)
    return optimizer


def build_losses(
    training: TrainingConfig, outputs: list[str], ignore_label: int, num_classes: int
) -> dict[str, keras.losses.Loss]:
    """The losses of a recipe by output; an output that is missing keeps its default.

    Args:
        training: of the recipe.
        outputs: names of the model's outputs.
        ignore_label: label of pixels that do not count.
        num_classes: of the logits.

    Raises:
        ValueError: a loss that cannot be made, or an output that the model does not have.
    """
    by_output: dict[str, list[tuple[keras.losses.Loss, float]]] = {}
    for index, part in enumerate(training.losses):
        key = f"training.losses[{index}]"
        if part.name == CROSSENTROPY:
            loss = _crossentropy(training, part, key, ignore_label)
        elif part.name in _LOSSES:
            loss = call(_LOSSES[part.name], part, key, {"ignore_label": ignore_label})
        else:
            offered = {"ignore_label": ignore_label, "num_classes": num_classes}
            loss = make(part, key, keras.losses.Loss, offered)
        chosen = [part.output] if part.output else ["logits", "aux_logits"]
        if part.output is not None:
            _check_output(part.output, outputs, key)
        for output in chosen:
            if output in outputs:
                by_output.setdefault(output, []).append((loss, part.weight))
    default = LossConfig(CROSSENTROPY)
    missing = [name for name in ("logits", "aux_logits") if name in {*outputs} - {*by_output}]
    for output in missing:
        loss = _crossentropy(training, default, "training.losses", ignore_label)
        by_output[output] = [(loss, default.weight)]
    if not missing:
        _check_crossentropy(training)
    return {output: _summed(terms) for output, terms in by_output.items()}


def build_metrics(
    training: TrainingConfig, outputs: list[str], ignore_label: int, num_classes: int
) -> dict[str, list[keras.metrics.Metric]]:
    """The metrics of a recipe by output, beside the default ones; arguments as `build_losses`."""
    by_output: dict[str, list[keras.metrics.Metric]] = {}
    for index, part in enumerate(training.metrics):
        key = f"training.metrics[{index}]"
        _check_output(part.output, outputs, key)
        offered = {"ignore_label": ignore_label, "num_classes": num_classes}
        metric = make(part, key, keras.metrics.Metric, offered)
        by_output.setdefault(part.output, []).append(metric)
    return by_output


def build_callbacks(training: TrainingConfig, directory: Path) -> list[keras.callbacks.Callback]:
    """Early stopping, if the recipe asks for it, and its callbacks, in its order.

    Args:
        training: of the recipe.
        directory: the run's folder, for those with a parameter `directory`.

    Raises:
        ValueError: a callback that cannot be made.
    """
    stopping = training.early_stopping
    own = [EarlyStopping(**dataclasses.asdict(stopping))] if stopping is not None else []
    named = [
        make(
            part,
            f"training.callbacks[{index}]",
            keras.callbacks.Callback,
            {"directory": str(directory)},
        )
        for index, part in enumerate(training.callbacks)
    ]
    return [*own, *named]


def _names(training: TrainingConfig) -> Iterator[tuple[str, str]]:
    if training.optimizer not in ("sgd", "adamw"):
        yield training.optimizer, "training.optimizer"
    if training.schedule not in ("poly", "constant"):
        yield training.schedule, "training.schedule"
    for section in ("losses", "metrics", "callbacks"):
        for index, part in enumerate(getattr(training, section)):
            if part.name not in (CROSSENTROPY, *_LOSSES):
                yield part.name, f"training.{section}[{index}]"


def _learning_rate(training: TrainingConfig, total_steps: int) -> Any:
    rate, arguments = training.learning_rate, training.schedule_arguments
    warmup_steps = min(training.warmup_steps, total_steps - 1)
    if training.schedule == "constant":
        _refuse(arguments, "training.schedule_arguments", "none for a constant rate")
        if training.poly_power != _default("poly_power"):
            raise ConfigError(
                f"`training.poly_power`: a setting of the schedule poly, and `training.schedule` "
                f"is constant. Received: {training.poly_power}"
            )
        if not warmup_steps:
            return rate
        return PolyDecay(rate, total_steps, warmup_steps=warmup_steps, end_learning_rate=rate)
    if training.schedule == "poly":
        own: dict[str, Any] = {"power": training.poly_power, "warmup_steps": warmup_steps}
        _refuse_given(arguments, own, "training.schedule_arguments")
        schedule = Named("poly", arguments)
        return call(PolyDecay, schedule, "training.schedule_arguments",
                    {"learning_rate": rate, "total_steps": total_steps, **own})  # fmt: skip
    for name in ("poly_power", "warmup_steps"):
        _refuse_changed(training, name, "schedule")
    return make(
        Named(training.schedule, arguments),
        "training.schedule",
        keras.optimizers.schedules.LearningRateSchedule,
        {
            "learning_rate": rate,
            "total_steps": total_steps,
            # As those of Keras call them.
            "initial_learning_rate": rate,
            "decay_steps": total_steps,
        },
    )


def _own_optimizer(training: TrainingConfig, rate: Any) -> keras.optimizers.Optimizer:
    given: dict[str, Any] = {
        "learning_rate": rate,
        "weight_decay": training.weight_decay,
        "lr_multipliers": _multipliers(training),
        **_clipping_and_averaging(training),
    }
    function: Any = AdamW if training.optimizer == "adamw" else SGD
    given["beta_1" if function is AdamW else "momentum"] = training.momentum
    key = "training.optimizer_arguments"
    _refuse_given(training.optimizer_arguments, given, key)
    part = Named(training.optimizer, {**given, **training.optimizer_arguments})
    return call(function, part, key, {})


def _other_optimizer(training: TrainingConfig, rate: Any) -> keras.optimizers.Optimizer:
    _refuse_changed(training, "momentum", "optimizer")
    function = find(training.optimizer, "training.optimizer")
    given = {"learning_rate": rate, **_clipping_and_averaging(training)}
    if training.weight_decay:
        given["weight_decay"] = training.weight_decay
    if any(factor != 1.0 for factor in _multipliers(training).values()):
        if "lr_multipliers" not in parameters(function):
            raise ConfigError(
                f"`training.head_lr_multiplier` and `training.lr_multipliers`: {training.optimizer}"
                f" has no parameter `lr_multipliers`; take sgd or adamw, or set the factors to 1"
            )
        given["lr_multipliers"] = _multipliers(training)
    arguments = {**given, **training.optimizer_arguments}
    part = Named(training.optimizer, arguments)
    return make(part, "training.optimizer", keras.optimizers.Optimizer)


def _multipliers(training: TrainingConfig) -> dict[str, float]:
    return {"": training.head_lr_multiplier, "backbone": 1.0, **training.lr_multipliers}


def _clipping_and_averaging(training: TrainingConfig) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if training.clip_norm is not None:
        given["global_clipnorm"] = training.clip_norm
    if training.ema_momentum is not None:
        given.update(use_ema=True, ema_momentum=training.ema_momentum)
    return given


def _crossentropy(
    training: TrainingConfig, part: LossConfig, key: str, ignore_label: int
) -> keras.losses.Loss:
    given = {
        "ignore_label": ignore_label,
        "class_weights": training.class_weights,
        "label_smoothing": training.label_smoothing,
        "top_k_fraction": training.top_k_fraction,
    }
    _refuse_given(part.arguments, given, f"{key}.arguments")
    return call(SegmentationCrossentropy, part, key, given)


def _check_crossentropy(training: TrainingConfig) -> None:
    """Raises where settings of the cross-entropy would be ignored."""
    if all(part.name != CROSSENTROPY for part in training.losses):
        for name in ("class_weights", "label_smoothing", "top_k_fraction"):
            if getattr(training, name) != _default(name):
                raise ConfigError(
                    f"`training.{name}`: a setting of {CROSSENTROPY}, which `training.losses` does "
                    f"not list. Received: {getattr(training, name)}"
                )


def _check_output(output: str, outputs: list[str], key: str) -> None:
    if output not in outputs:
        raise ConfigError(
            f"`{key}.output`: expected one of the model's outputs {sorted(outputs)}. "
            f"Received: {output!r}"
        )


def _summed(terms: list[tuple[keras.losses.Loss, float]]) -> keras.losses.Loss:
    losses, weights = zip(*terms, strict=True)
    return losses[0] if weights == (1.0,) else WeightedSum(losses, weights)


def _refuse(arguments: Any, key: str, expected: str) -> None:
    if arguments:
        raise ConfigError(f"`{key}`: expected {expected}. Received: {dict(arguments)}")


def _refuse_given(arguments: Any, given: Any, key: str) -> None:
    """Raises for arguments that a key of its own gives already."""
    for name in arguments:
        if name in given:
            raise ConfigError(f"`{key}.{name}`: other keys of `training` set it already")


def _refuse_changed(training: TrainingConfig, name: str, of: str) -> None:
    if getattr(training, name) != _default(name):
        other = getattr(training, of)
        raise ConfigError(
            f"`training.{name}`: a setting of this package's own {of}s. Give {other} its own in "
            f"`training.{of}_arguments`. Received: {getattr(training, name)}"
        )


def _default(name: str) -> Any:
    return next(each.default for each in dataclasses.fields(TrainingConfig) if each.name == name)
