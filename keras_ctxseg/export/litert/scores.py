"""A second output, of scores, for files that put out class ids: what MediaPipe's masks are made of.

ImageSegmenter reads a file's last output, of four dimensions, and takes the largest of its last
axis as a pixel's class. Of class ids alone it makes class 0 everywhere, without an error.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.litert.graph import LitertGraph

SCORES = "scores"
STEP = 1 / 16  # of the logits; what is 16 below the largest is as good as impossible
_TOP = 255
# Scores are rounded down, so that only the largest is `_TOP`: those half a step below it are not.
_ROUNDED_DOWN = 0.499 * STEP


def with_scores(content: bytes) -> bytes:
    """Appends the output `scores`, uint8 (1, height, width, classes), to a file of class ids.

    It is quantised: in steps of 1/16 the logits less the largest of their pixel, for which 255
    stands; the largest class is the one in `labels`, however near the next is. Where the file
    itself chooses the class among integers, these are its scores.

    Args:
        content: a file whose class ids are an `ARG_MAX` over logits.

    Raises:
        ExportError: it has another form.
    """
    graph = LitertGraph(content)
    writer = _Writer(graph)
    chosen = [k for k, kind in enumerate(graph.kinds) if kind == "ARG_MAX"]
    if len(chosen) != 1:
        raise ExportError(f"expected a file with one ARG_MAX. Found {len(chosen)}.")
    logits = graph.graph.operators[chosen[0]].inputs[0]
    tensor = graph.graph.tensors[logits]
    if tensor.type == schema.TensorType.FLOAT32:
        pixels = [*tensor.shape[:3], 1]
        largest = writer.floats("largest_score", pixels)
        raised = writer.floats("raised_score", pixels)
        below = writer.floats("below_largest_score", tensor.shape)
        reducer = schema.ReducerOptionsT()
        reducer.keepDims = True
        axis = writer.constant("score_axis", np.array([3], np.int32), schema.TensorType.INT32)
        shift = writer.constant(
            "score_shift", np.array([_ROUNDED_DOWN], np.float32), schema.TensorType.FLOAT32
        )
        writer.operator(
            "REDUCE_MAX", [logits, axis], largest, schema.BuiltinOptions.ReducerOptions, reducer
        )
        writer.operator(
            "ADD", [largest, shift], raised, schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
        )
        writer.operator(
            "SUB", [logits, raised], below, schema.BuiltinOptions.SubOptions, schema.SubOptionsT()
        )
        source, scale, zero_point = below, STEP, _TOP
    else:
        source = logits
        scale = float(tensor.quantization.scale[0])
        zero_point = int(tensor.quantization.zeroPoint[0]) + 128
    result = writer.tensor(SCORES, tensor.shape, schema.TensorType.UINT8)
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [scale], [zero_point]
    graph.graph.tensors[result].quantization = quantization
    writer.operator(
        "QUANTIZE",
        [source],
        result,
        schema.BuiltinOptions.QuantizeOptions,
        schema.QuantizeOptionsT(),
    )
    graph.graph.outputs = [*graph.graph.outputs, result]
    named = schema.TensorMapT()
    named.name, named.tensorIndex = SCORES.encode(), result
    graph.model.signatureDefs[0].outputs.append(named)
    return graph.packed()


class _Writer:
    """Appends tensors and operations to a file's first subgraph."""

    def __init__(self, graph: LitertGraph):
        self._model = graph.model
        self._graph = graph.graph

    def tensor(self, name: str, shape, kind: int, buffer: int = 0) -> int:
        """A tensor's index; buffer 0 is the empty one."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), kind
        tensor.buffer = buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def floats(self, name: str, shape) -> int:
        return self.tensor(name, shape, schema.TensorType.FLOAT32)

    def constant(self, name: str, value: np.ndarray, kind: int) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return self.tensor(name, value.shape, kind, len(self._model.buffers) - 1)

    def operator(self, kind: str, inputs: list[int], output: int, options: int, values) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = code.builtinCode
        code.version = _VERSIONS[kind]
        self._model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options, values
        self._graph.operators.append(operator)


# The first of each operation's versions that takes these types.
_VERSIONS = {"REDUCE_MAX": 1, "ADD": 1, "SUB": 1, "QUANTIZE": 2}
