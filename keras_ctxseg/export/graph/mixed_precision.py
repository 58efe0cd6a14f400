"""A frozen graph whose convolutions and products compute in bfloat16."""

from __future__ import annotations

import tensorflow as tf

from keras_ctxseg.export.graph.constant_folding import const_node, node_name, without_dead_nodes
from keras_ctxseg.export.graph.freezing import FrozenForward

_PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")
# They follow what they read, so that nothing is converted back and forth.
_FOLLOWERS = {
    "BiasAdd": 2,
    "AddV2": 2,
    "Relu": 1,
    "Relu6": 1,
    "MaxPool": 1,
    "Pad": 1,
    "SpaceToBatchND": 1,
    "BatchToSpaceND": 1,
    "Slice": 1,
    "StridedSlice": 1,
    "Reshape": 1,
    "Transpose": 1,
    "ConcatV2": -1,  # all but the last
}

_FLOAT, _BFLOAT16 = tf.float32.as_datatype_enum, tf.bfloat16.as_datatype_enum


def in_bfloat16(forward: FrozenForward) -> FrozenForward:
    """Lets convolutions and matrix products, and what lies between them, compute in bfloat16.

    As Keras' policy `mixed_bfloat16` does; means, softmax, interpolation and the outputs stay
    float32. It pays where the processor has bfloat16 instructions (AMX, AVX512-BF16, TPUs);
    elsewhere such a graph is slower. Kernels take half the space.
    """
    nodes = {node.name: node for node in forward.graph_def.node}
    lowered = _lowered(nodes)
    graph = tf.compat.v1.GraphDef(versions=forward.graph_def.versions)
    casts: dict[tuple[str, int], str] = {}

    def cast(source: str, to: int) -> str:
        key = (source, to)
        if key not in casts:
            kind = "bfloat16" if to == _BFLOAT16 else "float32"
            casts[key] = f"{kind}/{source.replace(':', '_')}"
            node = nodes[node_name(source)]
            if node.op == "Const":
                value = tf.make_ndarray(node.attr["value"].tensor)
                graph.node.append(const_node(casts[key], value.astype(tf.bfloat16.as_numpy_dtype)))
            else:
                added = graph.node.add(name=casts[key], op="Cast", input=[source])
                added.attr["SrcT"].type = _FLOAT if to == _BFLOAT16 else _BFLOAT16
                added.attr["DstT"].type = to
        return casts[key]

    for node in forward.graph_def.node:
        copied = graph.node.add()
        copied.CopyFrom(node)
        data = set(_data_inputs(node)) if node.name in lowered else set()
        if data:
            copied.attr["T"].type = _BFLOAT16
        for index, source in enumerate(node.input):
            is_low = node_name(source) in lowered
            if index in data and not is_low:
                copied.input[index] = cast(source, _BFLOAT16)
            elif index not in data and is_low and node.op != "Shape":
                copied.input[index] = cast(source, _FLOAT)
            elif node.op == "Shape" and is_low:
                copied.attr["T"].type = _BFLOAT16
    graph = without_dead_nodes(graph, [forward.input_name, *forward.output_names.values()])
    spec = tf.TensorSpec(forward.function.inputs[0].shape, tf.float32, forward.input_name)
    return FrozenForward(graph, spec, forward.output_names)


def _lowered(nodes: dict) -> set[str]:
    """Names of the nodes that compute in bfloat16."""
    lowered = {
        node.name
        for node in nodes.values()
        if node.op in _PRODUCTS and node.attr["T"].type == _FLOAT
    }
    while True:
        more = {
            node.name
            for node in nodes.values()
            if node.op in _FOLLOWERS and node.name not in lowered and _follows(node, nodes, lowered)
        }
        if not more:
            return lowered
        lowered |= more


def _follows(node, nodes: dict, lowered: set[str]) -> bool:
    sources = [node_name(node.input[index]) for index in _data_inputs(node)]
    return (
        node.attr["T"].type == _FLOAT
        and any(source in lowered for source in sources)
        and all(source in lowered or nodes[source].op == "Const" for source in sources)
    )


def _data_inputs(node) -> range:
    """Places of the inputs that are of the type `T`."""
    number = 2 if node.op in _PRODUCTS else _FOLLOWERS[node.op]
    return range(number if number > 0 else len(node.input) + number)
