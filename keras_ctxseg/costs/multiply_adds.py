"""Multiply-adds of a network, counted on its inference graph."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from keras_ctxseg.costs.graph import forward_operations
from keras_ctxseg.layers.rearranged_arithmetic import rearrangement


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds of one forward pass.

    `by_operation` splits `total` by the TensorFlow operation's type, largest first.
    """

    total: int
    by_operation: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.total / 1e9:.2f} GMAC"


def trainable_parameters(model) -> int:
    """Number of trainable parameters of a model or layer, of Keras 3 or tf_keras."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_multiply_adds(
    model: Callable,
    input_size: tuple[int, int] | tuple[int, ...],
    batch_size: int = 1,
    as_run: bool = False,
) -> MultiplyAdds:
    """Counts the multiply-adds of convolutions and matrix products of one forward pass.

    What counts is the network as it is specified, whatever its layers do to compute it with less
    arithmetic (see `layers.rearranged_arithmetic`); or the graph `as_run`, where a product
    computed once for many rates counts once, and interpolation by matrices counts. A dilated
    convolution that TensorFlow writes as SpaceToBatch, convolution and BatchToSpace counts its true
    output positions, without the padding in between. As is usual in the field, taps that fall on
    zero padding count, and normalisation, activations, pooling, resizing and additions do not.

    Args:
        model: a Keras model or layer (Keras 3 or tf_keras).
        input_size: (height, width) of the images that a model was built for, RGB where it does not
            say; or (height, width, channels).
        batch_size: images in the pass.
        as_run: whether to count what runs in place of what is specified.

    Raises:
        ValueError: the count would depend on values at run time.
    """
    inputs = getattr(model, "inputs", None)
    channels = tuple(input_size[2:]) or (inputs[0].shape[-1] if inputs else 3,)
    counts: dict[str, int] = defaultdict(int)
    with rearrangement("full" if as_run else "none"):
        operations = forward_operations(model, (batch_size, *input_size[:2], *channels))
    for operation in operations:
        if operation.type in _COUNTERS:
            counts[operation.type] += _COUNTERS[operation.type](operation)
        elif operation.type in _CONTROL_FLOW:
            raise ValueError(
                f"model: cannot count the multiply-adds of {operation.name!r} ({operation.type}):"
                " how often it runs is known only at run time."
            )
    ordered = dict(sorted(counts.items(), key=lambda item: -item[1]))
    return MultiplyAdds(sum(ordered.values()), ordered)


def _convolution(operation: tf.Operation) -> int:
    # The kernel (height, width, channels in a group, filters) holds one multiply-add for each
    # weight at each output position.
    return _spatial_positions(operation) * _size(operation, operation.inputs[1])


def _depthwise_convolution(operation: tf.Operation) -> int:
    return _spatial_positions(operation) * _size(operation, operation.inputs[1])


def _transposed_convolution(operation: tf.Operation) -> int:
    # Each input position meets the whole kernel; the gradient's input is the third argument.
    gradient = operation.inputs[2]
    positions = _size(operation, gradient) // gradient.shape[-1]
    return positions * _size(operation, operation.inputs[1])


def _matrix_product(operation: tf.Operation) -> int:
    transposed = any(
        operation.get_attr(name)
        for name in ("transpose_a", "adj_x")
        if name in operation.node_def.attr
    )
    left = operation.inputs[0].shape
    return _size(operation, operation.outputs[0]) * left[-2 if transposed else -1]


def _einsum(operation: tf.Operation) -> int:
    equation = operation.get_attr("equation").decode()
    sizes: dict[str, int] = {}
    terms = equation.split("->")[0].split(",")
    for term, tensor in zip(terms, operation.inputs, strict=True):
        shape = _shape(operation, tensor)
        named = len(term.replace("...", ""))
        before, ellipsis, after = term.partition("...")
        spread = [f".{index}" for index in range(len(shape) - named)][::-1] if ellipsis else []
        for axis, size in zip([*before, *spread, *after], shape, strict=True):
            sizes[axis] = max(sizes.get(axis, 1), size)
    return math.prod(sizes.values()) if len(terms) > 1 else 0


def _spatial_positions(operation: tf.Operation) -> int:
    """Batch times output positions of a convolution."""
    output = operation.outputs[0]
    last = _batch_to_space_after(output)
    shape = _shape(operation, output if last is None else last)
    data_format = operation.get_attr("data_format").decode()
    return math.prod(shape) // shape[data_format.index("C")]


def _batch_to_space_after(tensor: tf.Tensor) -> tf.Tensor | None:
    consumers = tensor.consumers()
    if len(consumers) == 1 and consumers[0].type == "BatchToSpaceND":
        return consumers[0].outputs[0]
    return None


def _size(operation: tf.Operation, tensor: tf.Tensor) -> int:
    return math.prod(_shape(operation, tensor))


def _shape(operation: tf.Operation, tensor: tf.Tensor) -> list[int]:
    if not tensor.shape.is_fully_defined():
        raise ValueError(
            f"model: cannot count the multiply-adds of {operation.name!r} ({operation.type}):"
            f" expected a size known before run time. Received {tensor.shape}."
        )
    return tensor.shape.as_list()


_COUNTERS = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise_convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "MatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
    "BatchMatMulV3": _matrix_product,
    "Einsum": _einsum,
}
# Operations that run graphs of their own.
_CONTROL_FLOW = (
    "While",
    "StatelessWhile",
    "If",
    "StatelessIf",
    "PartitionedCall",
    "StatefulPartitionedCall",
)
