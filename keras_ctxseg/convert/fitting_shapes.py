"""Shapes that differ: refused, or, where only the number of classes does, left alone."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_ctxseg.convert.errors import ConversionError
from keras_ctxseg.convert.layer_weights import Brick


def class_count_only(brick: Brick, values: Mapping[str, np.ndarray]) -> str:
    """Why a classifier is not loaded: another number of classes and nothing else; else `""`."""
    if not brick.classifies:
        return ""
    ours = {key: tuple(variable.shape) for key, variable in brick.layer.items()}
    theirs = {key: values[key].shape for key in ours}
    if ours == theirs or any(
        len(ours[key]) != len(theirs[key]) or ours[key][:-1] != theirs[key][:-1] for key in ours
    ):
        return ""
    return f"the checkpoint has {theirs['kernel'][-1]} classes, the model {ours['kernel'][-1]}"


def shape_error(origin: str, variable: keras.Variable, name: str, shape) -> ConversionError:
    return ConversionError(
        f"{origin} does not fit: {variable.path} is {tuple(variable.shape)}, "
        f"{name or 'its counterpart'} is {tuple(shape)} (in Keras' layout)"
    )
