"""TensorFlow's checkpoints: names of TF1 as they are, those of TF2 by what was made when."""

import glob
import math
import re
from pathlib import Path

import numpy as np

from keras_ctxseg._untrusted import check_unpacked, first_line
from keras_ctxseg.convert.report import ConversionError

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# What optimizers keep beside each weight.
_SLOT = re.compile(
    r"/(Momentum|Adam|Adam_1|RMSProp|RMSProp_1|ExponentialMovingAverage)$|^global_step"
)


def read_tensorflow(path: Path) -> dict[str, np.ndarray]:
    """Reads a checkpoint, without what an optimizer keeps.

    Args:
        path: The checkpoint's prefix, its `.index` file, or a folder whose newest one is read.

    Returns:
        TF1: `{variable: array}`. TF2, for a functional model of tf-models: see `_by_creation`.

    Raises:
        ConversionError: If there is no checkpoint, or it is damaged.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    prefix = _prefix(path)
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        sizes = [math.prod(shape) * types[name].size for name, shape in shapes.items()]
        check_unpacked(
            sizes, sum(file.stat().st_size for file in _data_files(prefix)), "its variables"
        )
        if _GRAPH in shapes:
            return _by_creation(reader)
        names = [name for name in shapes if not _SLOT.search(name) and types[name] != tf.string]
        return {name: reader.get_tensor(name) for name in sorted(names)}
    except (tf.errors.OpError, DecodeError, IndexError, RuntimeError) as error:
        raise ConversionError(
            f"no whole TensorFlow checkpoint; it is damaged or incomplete ({first_line(error)})"
        ) from error


def _data_files(prefix: str) -> list[Path]:
    return list(Path(prefix).parent.glob(f"{glob.escape(Path(prefix).name)}.data-*"))


def _prefix(path: Path) -> str:
    if path.is_dir():
        found = sorted(path.glob("*.index"), key=lambda file: file.stat().st_mtime)
        if not found:
            raise ConversionError(f"{path}: no checkpoint (*.index) in this folder")
        path = found[-1]
    prefix = re.sub(r"\.(index|data-\d+-of-\d+)$", "", str(path))
    if not Path(f"{prefix}.index").is_file():
        raise ConversionError(f"{path}: no TensorFlow checkpoint; {prefix}.index is not there")
    return prefix


def _by_creation(reader) -> dict[str, np.ndarray]:
    """Names the weights of a functional model by kind and order of creation.

    tf-models' layers have no names of their own; Keras numbers them as they are made (`conv2d_7`),
    and that number stands in the checkpoint with each variable. So `conv/0/kernel` is the first
    convolution's, `norm/0/gamma` the first normalisation's, `bottleneck/2/conv1/kernel` the first
    convolution of the third bottleneck block, `residual/...` likewise; `conv0` and `norm0` are a
    block's shortcut.
    """
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(_GRAPH))
    nodes = graph.nodes

    def children(index: int) -> dict[str, int]:
        return {child.local_name: child.node_id for child in nodes[index].children}

    def variable(index: int):
        return nodes[index].attributes[0] if nodes[index].attributes else None

    def role(child: str) -> str:
        if child == "_shortcut":
            return "conv0"
        return child.lstrip("_") if re.fullmatch(r"_(conv|norm)\d", child) else ""

    model = _functional_model(nodes, children)
    found: dict[str, list] = {"conv": [], "norm": [], "bottleneck": [], "residual": []}
    for name, index in children(model).items():
        if not name.startswith("layer_with_weights-"):
            continue
        parts = children(index)
        blocks = {role(child): children(parts[child]) for child in parts if role(child)}
        if blocks:
            kind = "bottleneck" if "conv3" in blocks else "residual"
            weights = {
                f"{part}/{key}": variable(node)
                for part, content in blocks.items()
                for key, node in content.items()
            }
        else:
            kind = "norm" if "gamma" in parts else "conv"
            weights = {key: variable(node) for key, node in parts.items()}
        weights = {key: entry for key, entry in weights.items() if entry is not None}
        if not weights:
            continue
        first = next(iter(weights.values())).full_name.split("/")[0]
        number = re.search(r"_(\d+)$", first)
        found[kind].append((int(number[1]) if number else 0, weights))
    return {
        f"{kind}/{index}/{key}": reader.get_tensor(entry.checkpoint_key)
        for kind, layers in found.items()
        for index, (_, weights) in enumerate(sorted(layers, key=lambda layer: layer[0]))
        for key, entry in weights.items()
    }


def _functional_model(nodes, children) -> int:
    """The backbone, if the checkpoint tells, or whatever holds most layers."""
    root = children(0)
    for way in (("backbone",), ("model", "backbone"), ("model", "_backbone")):
        index, known = 0, children(0)
        for step in way:
            if step not in known:
                break
            index = known[step]
            known = children(index)
        else:
            return index
    candidates = {
        index: sum(name.startswith("layer_with_weights-") for name in children(index))
        for index in {0, *root.values()}
    }
    best = max(candidates, key=lambda index: candidates[index])
    if not candidates[best]:
        raise ConversionError("no functional Keras model in it (no layer_with_weights-...)")
    return best
