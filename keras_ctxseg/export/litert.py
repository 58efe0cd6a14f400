"""Keras model to a checked LiteRT (TFLite) file for devices."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.litert_file import litert_operations
from keras_ctxseg.export.parity import (
    check_parity,
    checked_images,
    require_parity,
    synthetic_images,
)
from keras_ctxseg.export.quiet import captured_noise
from keras_ctxseg.export.saved_model import ExportResult, logits_channels
from keras_ctxseg.export.versions import staging_directory
from keras_ctxseg.layers import rearrangement
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE


def export_litert(
    model: keras.Model,
    path: str | Path,
    input_size: tuple[int, int],
    *,
    check_images: Sequence[np.ndarray] | None = None,
) -> ExportResult:
    """Writes a float32 LiteRT file of static shape and builtin operations only.

    Signature `serving_default`: input `images`, float32 (1, height, width, 3), RGB in 0..255 (at
    the scale the model was trained on: nothing is resized inside); output `logits`, float32
    (1, height, width, classes).

    The file is written to a temporary place, loaded with the LiteRT interpreter, compared with
    `model` (`check_parity`), and only then moved to `path`, replacing what was there.

    Args:
        model: functional model with `"logits"`.
        path: the file to write, by convention `saved_models/<name>/<name>.tflite`.
        input_size: height and width, at least 33.
        check_images: uint8 (height, width, 3) images to compare on, resized to `input_size`; real
            ones if possible; by default two synthetic ones.

    Raises:
        ExportError: an operation is not builtin, the comparison failed, or `path` cannot be
            written.
        ValueError: an argument that does not fit the model.
    """
    path = Path(path)
    height, width = _checked_size(model, input_size)
    images = checked_images(
        synthetic_images([(height, width)] * 2) if check_images is None else check_images
    )
    content = _convert(model, height, width)
    with staging_directory(path.parent) as staging:
        candidate = staging / path.name
        try:
            candidate.write_bytes(content)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error.strerror}.") from error
        foreign = [name for name in litert_operations(candidate) if name.startswith("custom:")]
        if foreign:
            raise ExportError(
                f"export refused: {path.name} needs operations that are not LiteRT builtins:"
                f" {', '.join(foreign)}."
            )
        report = require_parity(check_parity(model, candidate, images))
        try:
            os.replace(candidate, path)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error.strerror}.") from error
    return ExportResult(path, dataclasses.replace(report, path=str(path)))


def _checked_size(model: keras.Model, input_size: tuple[int, int]) -> tuple[int, int]:
    logits_channels(model)
    height, width = (int(side) for side in input_size)
    if min(height, width) < MINIMUM_SIZE:
        raise ValueError(
            f"input_size: expected height and width of at least {MINIMUM_SIZE}."
            f" Received {input_size!r}."
        )
    built = model.inputs[0].shape[1:3]
    if any(have not in (None, want) for have, want in zip(built, (height, width), strict=True)):
        raise ValueError(
            f"input_size: expected {tuple(built)}, which the model was built for."
            f" Received {input_size!r}."
        )
    return height, width


def _convert(model: keras.Model, height: int, width: int) -> bytes:
    # A static batch of 1 keeps dilated convolutions whole and folds BatchNormalization.
    @tf.function(
        input_signature=[tf.TensorSpec((1, height, width, 3), tf.float32, name="images")],
        autograph=False,
    )
    def segment(images):
        with rearrangement("slices"):
            return {"logits": model(images, training=False)["logits"]}

    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    with captured_noise():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [segment.get_concrete_function()], module
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            return converter.convert()
        except Exception as error:  # the converter raises types of its own
            raise ExportError(f"export refused: {_short(error)}") from error


def _short(error: Exception) -> str:
    """The lines of a converter's error that name the operations, without its MLIR dump."""
    lines = str(error).splitlines()
    named = [
        line.strip() for line in lines if line.strip().startswith(("Flex ops:", "Custom ops:"))
    ]
    if named:
        return f"operations that are not LiteRT builtins: {'; '.join(named)}."
    return f"not convertible to LiteRT: {lines[0] if lines else type(error).__name__}"
