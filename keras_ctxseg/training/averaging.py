"""Evaluate and save with the optimizer's averaged weights, train on with the raw ones."""

import contextlib
from collections.abc import Iterator

import keras


def averages_of(optimizer) -> list | None:
    """The optimizer's moving averages, one per trainable variable; None where it keeps none."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # Under float16's loss scaling.
    if not getattr(optimizer, "use_ema", False) or not optimizer.built:
        return None
    if int(keras.ops.convert_to_numpy(optimizer.iterations)) == 0:  # They are still zero.
        return None
    return optimizer._model_variables_moving_average


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the moving averages into the model for the duration of a `with` block.

    The averages in the optimizer stay as they are, so a checkpoint written inside the block holds
    the averages in both places. Only trainable variables are averaged: batch norm's moving mean and
    variance, averages already, remain the current ones. Without EMA the block changes nothing.
    """
    averages = averages_of(model.optimizer)
    if averages is None:
        yield
        return
    raw = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, raw, strict=True):
            variable.assign(value)
