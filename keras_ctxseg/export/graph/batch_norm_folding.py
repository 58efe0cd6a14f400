"""Merges BatchNormalization into the convolution before it, in a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_ctxseg.export.graph.constant_folding import (
    const_node,
    data_inputs,
    node_name,
    without_dead_nodes,
)

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")


def fold_batch_norms(graph: tf.compat.v1.GraphDef, keep: Iterable[str]) -> tf.compat.v1.GraphDef:
    """Writes `convolution(x, W)·s + b` as `convolution(x, W·s) + b`.

    At inference BatchNormalization is a product and a sum for each channel. The product goes into
    the convolution's kernel (a depthwise one's too, and that of a dilated depthwise convolution,
    which TensorFlow surrounds with SpaceToBatch and BatchToSpace), the sum becomes a `BiasAdd`
    right behind it, which TensorFlow runs as one operation with the convolution and the activation.
    A bias that the convolution had is folded in too.

    What has no convolution of its own before it (the sum of a shared kernel's products, codewords)
    keeps its product and sum. So does what follows a kernel that several convolutions share, which
    would have to be stored once for each; TensorFlow folds it when it loads the graph.

    Args:
        graph: as `fold_constants` returns it.
        keep: names of the nodes that have to stay: inputs and outputs.
    """
    keep = set(keep)
    nodes = {node.name: node for node in graph.node}
    uses = Counter(source for node in graph.node for source in node.input)
    uses.update(keep)
    replaced: dict[str, str] = {}
    for node in list(graph.node):
        found = _match(node, nodes, uses)
        if found is not None:
            replaced[node.name] = found.apply(nodes)
    folded = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in nodes.values():
        copied = folded.node.add()
        copied.CopyFrom(node)
        if node.name in keep and node.name in replaced:
            del copied.input[:]
            copied.op = "Identity"
            copied.input.append(replaced[node.name])
            continue
        for index, source in enumerate(copied.input):
            copied.input[index] = replaced.get(source, source)
    return without_dead_nodes(folded, keep)


def unfolded_products(graph: tf.compat.v1.GraphDef) -> list[str]:
    """Names of products of a constant and a convolution, with its bias or without."""
    nodes = {node.name: node for node in graph.node}

    def is_convolution(source: str) -> bool:
        node = nodes[node_name(source)]
        return node.op in _CONVOLUTIONS or (node.op == "BiasAdd" and is_convolution(node.input[0]))

    return [
        node.name
        for node in graph.node
        if node.op == "Mul"
        and any(nodes[node_name(source)].op == "Const" for source in node.input)
        and any(is_convolution(source) for source in node.input)
    ]


@dataclass
class _Match:
    convolution: tf.compat.v1.NodeDef
    after: list[tf.compat.v1.NodeDef]  # BatchToSpaceND nodes between it and the product
    scale: np.ndarray
    shift: np.ndarray

    def apply(self, nodes: dict) -> str:
        """Adds the folded nodes; returns the name of what replaces the sum."""
        kernel = _value(nodes, self.convolution.input[1])
        scale = self.scale.astype(np.float64)
        if self.convolution.op == "DepthwiseConv2dNative":
            scale = scale.reshape(kernel.shape[2:])
        name = self.convolution.name
        # In float64, so that folding rounds each weight once.
        scaled = (kernel * scale).astype(kernel.dtype)
        filters = const_node(f"{name}/folded_kernel", scaled)
        bias = const_node(f"{name}/folded_bias", self.shift.astype(kernel.dtype))
        convolution = _copy(self.convolution, f"{name}/folded", {1: filters.name})
        summed = tf.compat.v1.NodeDef(
            name=f"{name}/biased", op="BiasAdd", input=[convolution.name, bias.name]
        )
        summed.attr["T"].type = self.convolution.attr["T"].type
        summed.attr["data_format"].s = b"NHWC"
        result = summed.name
        for added in (filters, bias, convolution, summed):
            nodes[added.name] = added
        for node in reversed(self.after):
            moved = _copy(node, f"{node.name}/folded", {0: result})
            nodes[moved.name] = moved
            result = moved.name
        return result


def _match(node, nodes: dict, uses: Counter) -> _Match | None:
    """Sum of a constant and a product of a constant and a convolution, used nowhere else."""
    if node.op not in ("AddV2", "Add"):
        return None
    shift, product = _constant_and_other(node, nodes)
    if shift is None or nodes[node_name(product)].op != "Mul" or uses[product] != 1:
        return None
    scale, inner = _constant_and_other(nodes[node_name(product)], nodes)
    if scale is None:
        return None
    bias: float | np.ndarray = 0.0
    after = []
    while uses[inner] == 1:
        current = nodes[node_name(inner)]
        if current.op == "BatchToSpaceND":
            after.append(current)
        elif (
            current.op == "BiasAdd"
            and not after
            and nodes[node_name(current.input[1])].op == ("Const")
        ):
            bias = _value(nodes, current.input[1])
        elif current.op in _CONVOLUTIONS:
            if uses[current.input[1]] > 1:
                return None
            return _fitting(current, after, scale, scale.astype(np.float64) * bias + shift, nodes)
        else:
            return None
        inner = current.input[0]
    return None


def _fitting(convolution, after, scale, shift, nodes) -> _Match | None:
    if nodes[node_name(convolution.input[1])].op != "Const":
        return None
    shape = _value(nodes, convolution.input[1]).shape
    depthwise = convolution.op == "DepthwiseConv2dNative"
    channels = shape[2] * shape[3] if depthwise else shape[3]
    by_channel = scale.size == shift.size == channels and scale.shape[-1:] == (channels,)
    if convolution.attr["data_format"].s not in (b"", b"NHWC") or not by_channel:
        return None
    return _Match(convolution, after, scale.reshape(-1), shift.reshape(-1))


def _constant_and_other(node, nodes: dict):
    first, second = data_inputs(node)
    for constant, other in ((first, second), (second, first)):
        if nodes[node_name(constant)].op == "Const" and nodes[node_name(other)].op != "Const":
            return _value(nodes, constant), other
    return None, None


def _copy(node, name: str, inputs: dict[int, str]):
    copied = tf.compat.v1.NodeDef()
    copied.CopyFrom(node)
    copied.name = name
    for index, source in inputs.items():
        copied.input[index] = source
    return copied


def _value(nodes: dict, source: str) -> np.ndarray:
    return tf.make_ndarray(nodes[node_name(source)].attr["value"].tensor)
