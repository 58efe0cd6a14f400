"""Ranges of a network's activations, observed on real images, for integers to span."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.litert.graph import LitertGraph

# Of the images' largest values the upper quartile, so that one odd image does not coarsen the
# steps of all others; on trained models of every family this agrees best with float.
QUANTILE = 0.75
# What is added to logits that a softmax shall pass over is far below this.
_MASKED = -1e4
# exp(-16) is less than one step of a softmax in 8 bits.
_BELOW = 16.0


def with_ranges(content: bytes, images: Sequence[np.ndarray]) -> bytes:
    """Writes into a float32 LiteRT file which values each of its tensors takes.

    Args:
        content: the file.
        images: uint8 (height, width, 3) of the file's input size.

    Returns:
        The file with `min` and `max` at each float tensor, as the quantiser reads them: the upper
        quartile over the images of their extremes. The input's are 0 and 255, so that a step of
        its integers is a step of the image.
    """
    graph = LitertGraph(content)
    tensors = graph.graph.tensors
    results = sorted({t for op in graph.graph.operators for t in op.outputs})
    floats = [t for t in results if tensors[t].type == schema.TensorType.FLOAT32]
    extremes = _extremes(content, floats, images)
    for index, (low, high) in zip(floats, extremes, strict=True):
        _set_range(tensors[index], np.quantile(low, 1 - QUANTILE), np.quantile(high, QUANTILE))
    for index in graph.graph.inputs:
        _set_range(tensors[index], 0.0, 255.0)
    return graph.packed()


def _extremes(content: bytes, tensors: list[int], images: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (tensors, 2, images): each tensor's least and largest value in each image."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with captured_noise():
        # Delegates keep what lies between their operations to themselves.
        interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    extremes = np.zeros((len(tensors), 2, len(images)), np.float32)
    for number, image in enumerate(images):
        interpreter.set_tensor(details["index"], image[np.newaxis].astype(np.float32))
        interpreter.invoke()
        for row, tensor in enumerate(tensors):
            extremes[row, :, number] = _extremes_of(interpreter.get_tensor(tensor))
    return extremes


def _extremes_of(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if low > _MASKED:
        return low, high
    rest = values[values > _MASKED]
    if not rest.size:
        return 0.0, 0.0
    return float(rest.min()) - _BELOW, float(rest.max())


def _set_range(tensor, low: float, high: float) -> None:
    # Zero has to be a value of its own: paddings are made of it.
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.min = [min(float(low), 0.0)]
    tensor.quantization.max = [max(float(high), 0.0)]
