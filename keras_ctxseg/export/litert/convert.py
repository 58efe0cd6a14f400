"""From a Keras model to the content of a LiteRT file in float32, float16 or dynamic range."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.layers.rearranged_arithmetic import rearrangement
from keras_ctxseg.models.segmentation_model import image_channels

MOST_UINT8_CLASSES = 256


def converted(
    model: keras.Model, height: int, width: int, form: str = "fp32", labels: bool = False
) -> bytes:
    """Converts with a static batch of 1, and builtin operations only.

    Args:
        model: functional model with `"logits"`.
        height, width: of the input.
        form: `"fp32"`, `"fp16"` or `"dynamic"`.
        labels: put out class ids, uint8 (int32 beyond 256 classes), rather than logits.

    Raises:
        ExportError: it needs operations that LiteRT does not have.
    """

    # A static batch of 1 keeps dilated convolutions whole and folds BatchNormalization.
    @tf.function(
        input_signature=[
            tf.TensorSpec((1, height, width, image_channels(model)), tf.float32, name="images")
        ],
        autograph=False,
    )
    def segment(images):
        with rearrangement("slices"):  # matrix products over space lose their precision in int8
            logits = model(images, training=False)["logits"]
        if not labels:
            return {"logits": logits}
        ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        few = logits.shape[-1] <= MOST_UINT8_CLASSES
        return {"labels": tf.cast(ids, tf.uint8) if few else ids}

    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    with captured_noise():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [segment.get_concrete_function()], module
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if form != "fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if form == "fp16":
            converter.target_spec.supported_types = [tf.float16]
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
