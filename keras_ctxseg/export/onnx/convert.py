"""From a Keras model to the content of an ONNX file."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg._version import __version__
from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.constant_folding import node_name
from keras_ctxseg.export.graph.freezing import frozen_forward
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.loading.metadata import FileMetadata
from keras_ctxseg.export.loading.onnx_file import DETAILS_KEY, LABELS_KEY
from keras_ctxseg.models.segmentation_model import image_channels

OPSET = 18
MOST_UINT8_CLASSES = 256


def converted(model: keras.Model, height: int, width: int, labels: bool = False) -> Any:
    """Converts the frozen graph (`frozen_forward`) with a static batch of 1, by tf2onnx.

    Args:
        model: functional model with `"logits"`.
        height, width: of the input.
        labels: put out class ids, uint8 (int32 beyond 256 classes), rather than logits.

    Returns:
        An `onnx.ModelProto` of ONNX's own operations.

    Raises:
        ExportError: it needs operations that ONNX does not have.
    """
    import onnx
    import tf2onnx

    scores = keras.Model(model.inputs[0], {"logits": model.output["logits"]}, name=model.name)
    forward = frozen_forward(scores, (1, height, width, image_channels(model)))
    source, target = f"{forward.input_name}:0", f"{forward.output_names['logits']}:0"
    level = logging.getLogger("tf2onnx").level
    with captured_noise():
        try:
            logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
            converted, _ = tf2onnx.convert.from_graph_def(
                _plain_sums(forward.graph_def),
                name=model.name,
                input_names=[source],
                output_names=[target],
                tensors_to_rename={source: "images", target: "logits"},
                opset=OPSET,
            )
            _resize_to_sizes(converted)
            if labels:
                _end_in_labels(converted)
            # What tf2onnx does not know it leaves as it is.
            onnx.checker.check_model(converted)
        except Exception as error:  # tf2onnx raises types of its own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"export refused: not convertible to ONNX: {reason}") from error
        finally:
            logging.getLogger("tf2onnx").setLevel(level)
    return converted


def with_metadata(proto: Any, metadata: FileMetadata) -> bytes:
    """The file's content, with class names, palette and the comparison in `metadata_props`."""
    import onnx

    proto.producer_name, proto.producer_version = "keras_ctxseg", __version__
    proto.doc_string = metadata.description
    entries = {
        LABELS_KEY: "\n".join(metadata.class_names),
        DETAILS_KEY: json.dumps(dataclasses.asdict(metadata), ensure_ascii=False),
    }
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, entries)
    return proto.SerializeToString()


def _plain_sums(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Writes sums with what is no constant as `AddV2`.

    Keras adds maps of one pixel by `BiasAdd`, and tf2onnx gives a convolution two biases then.
    """
    plain = tf.compat.v1.GraphDef()
    plain.CopyFrom(graph)
    constants = {node.name for node in plain.node if node.op == "Const"}
    for node in plain.node:
        if node.op == "BiasAdd" and node_name(node.input[1]) not in constants:
            node.op = "AddV2"
            del node.attr["data_format"]
    return plain


def _resize_to_sizes(proto: Any) -> None:
    """Tells each `Resize` its result's size.

    tf2onnx writes a factor in float32, and 13 times 25/13 may be rounded down to 24.
    """
    import onnx

    del proto.graph.value_info[:]  # Computed with those factors.
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for number, node in enumerate(proto.graph.node):
        if node.op_type != "Resize" or len(node.input) != 3 or node.input[2] not in constants:
            continue
        # What lies above has its right shape by now.
        known = onnx.shape_inference.infer_shapes(proto).graph.value_info
        shapes = {value.name: value.type.tensor_type.shape.dim for value in known}
        source = np.array([dimension.dim_value for dimension in shapes[node.input[0]]])
        factors = onnx.numpy_helper.to_array(constants[node.input[2]])
        sizes = np.rint(source * np.float64(factors)).astype(np.int64)
        name = f"resize_{number}/sizes"
        proto.graph.initializer.append(onnx.numpy_helper.from_array(sizes, name))
        node.input[2] = ""
        node.input.append(name)


def _end_in_labels(proto: Any) -> None:
    """Appends the argmax, and makes its result the only output."""
    import onnx

    (logits,) = proto.graph.output
    *shape, classes = [dimension.dim_value for dimension in logits.type.tensor_type.shape.dim]
    few = classes <= MOST_UINT8_CLASSES
    kind = onnx.TensorProto.UINT8 if few else onnx.TensorProto.INT32
    proto.graph.node.extend(
        [
            onnx.helper.make_node("ArgMax", ["logits"], ["ids"], axis=-1, keepdims=0),
            onnx.helper.make_node("Cast", ["ids"], ["labels"], to=kind),
        ]
    )
    proto.graph.output.remove(logits)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("labels", kind, shape))
