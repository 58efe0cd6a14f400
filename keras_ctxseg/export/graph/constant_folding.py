"""Computes once, at export, what an inference graph would compute anew for every image."""

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

# A constant that only repeats what is smaller before it (zeros, a broadcast) stays an operation.
_WORTH_STORING = 2**16


def fold_constants(graph: tf.compat.v1.GraphDef, keep: Iterable[str]) -> tf.compat.v1.GraphDef:
    """Replaces what depends on constants alone by its value, and drops what nothing depends on.

    Args:
        graph: without variables, functions calls and control dependencies that do anything.
        keep: names of the nodes that have to stay: inputs and outputs.

    Returns:
        A graph of the same outputs to the last bit; `Identity` nodes are gone from it.
    """
    keep = set(keep)
    nodes = {node.name: node for node in graph.node}
    constant: set[str] = set()
    for name in _in_order(nodes):
        node = nodes[name]
        fixed = node.op == "Const" or (
            bool(data_inputs(node))
            and name not in keep
            and not _is_random_or_stateful(node)
            and all(node_name(source) in constant for source in data_inputs(node))
        )
        if fixed:
            constant.add(name)
    frontier = {
        source
        for node in graph.node
        if node.name not in constant
        for source in data_inputs(node)
        if node_name(source) in constant and nodes[node_name(source)].op != "Const"
    }
    values = _evaluate(graph, sorted(frontier))
    replaced = _equal_constants(graph, keep)
    folded = tf.compat.v1.GraphDef(versions=graph.versions)
    for source, value in values.items():
        if value.nbytes > _WORTH_STORING and value.nbytes > 4 * _stored_bytes(nodes, source):
            continue
        replaced[source] = f"folded/{source.replace(':', '_')}"
        folded.node.append(const_node(replaced[source], value))
    for node in graph.node:
        kept = folded.node.add()
        kept.CopyFrom(node)
        del kept.input[:]
        # Of a frozen graph, what is run for its effects alone is an empty group.
        kept.input.extend(
            replaced.get(source, source)
            for source in (_skip_identities(nodes, source, keep) for source in data_inputs(node))
        )
    return without_dead_nodes(folded, keep)


def without_dead_nodes(graph: tf.compat.v1.GraphDef, keep: Iterable[str]) -> tf.compat.v1.GraphDef:
    """The graph without the nodes that none of `keep` depends on."""
    nodes = {node.name: node for node in graph.node}
    alive, waiting = set(), list(keep)
    while waiting:
        name = waiting.pop()
        if name not in alive:
            alive.add(name)
            waiting.extend(node_name(source) for source in nodes[name].input)
    living = tf.compat.v1.GraphDef(versions=graph.versions)
    living.node.extend(node for node in graph.node if node.name in alive)
    return living


def const_node(name: str, value: np.ndarray) -> tf.compat.v1.NodeDef:
    """A `Const` of this value; its NumPy type says its type."""
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    tensor = tf.make_tensor_proto(value)
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)
    return node


def node_name(source: str) -> str:
    """The node that an input such as `conv:0` or `^group` comes from."""
    return source.lstrip("^").partition(":")[0]


def data_inputs(node: tf.compat.v1.NodeDef) -> list[str]:
    """A node's inputs without its control dependencies."""
    return [source for source in node.input if not source.startswith("^")]


def _in_order(nodes: dict) -> Iterator[str]:
    """Names, each after those of its inputs; without recursion, as graphs are deep."""
    done: set[str] = set()
    for root in nodes:
        stack = [root]
        while stack:
            name = stack[-1]
            missing = [
                node_name(source)
                for source in data_inputs(nodes[name])
                if node_name(source) not in done
            ]
            if name in done or not missing:
                stack.pop()
                if name not in done:
                    done.add(name)
                    yield name
            else:
                stack.extend(missing)


def _is_random_or_stateful(node) -> bool:
    definition = tf.raw_ops.__dict__.get(node.op)
    return definition is None or node.op.startswith(("Random", "Stateless", "Truncated"))


def _evaluate(graph, sources: list[str]) -> dict[str, np.ndarray]:
    if not sources:
        return {}
    with tf.Graph().as_default() as evaluated, tf.device("CPU:0"):
        needed = without_dead_nodes(graph, map(node_name, sources))
        tf.graph_util.import_graph_def(needed, name="")
        tensors = [source if ":" in source else f"{source}:0" for source in sources]
        with tf.compat.v1.Session(graph=evaluated) as session:
            return dict(zip(sources, map(np.asarray, session.run(tensors)), strict=True))


def _stored_bytes(nodes: dict, source: str) -> int:
    """Bytes of the constants that a value is computed from."""
    total, waiting, seen = 0, [node_name(source)], set()
    while waiting:
        node = nodes[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            shape = tf.TensorShape(tensor.tensor_shape)
            total += (shape.num_elements() or 1) * tf.as_dtype(tensor.dtype).size
        waiting.extend(node_name(source) for source in data_inputs(node))
    return total


def _equal_constants(graph, keep: set[str]) -> dict[str, str]:
    """For each constant that is equal to one before it, that one's name.

    Slices leave thousands of small ones behind, which take a while to load.
    """
    first: dict[bytes, str] = {}
    return {
        node.name: first.setdefault(
            node.attr["dtype"].SerializeToString() + node.attr["value"].SerializeToString(),
            node.name,
        )
        for node in graph.node
        if node.op == "Const" and node.name not in keep and node.ByteSize() < _WORTH_STORING
    }


def _skip_identities(nodes: dict, source: str, keep: set[str]) -> str:
    while node_name(source) not in keep:
        node = nodes[node_name(source)]
        if node.op == "Identity":
            source = node.input[0]
        elif node.op == "IdentityN":
            source = node.input[int(source.partition(":")[2] or 0)]
        else:
            break
    return source
