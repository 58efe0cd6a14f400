"""From a Keras model to one frozen function: fixed weights, convolutions that contain their
BatchNormalization.

The folding is our own, as TensorFlow leaves some undone: its optimiser at load takes 8 to 22 %
more processor time for an image, and the same optimiser run at export 1 to 11 % (DeepLabv3+ and RSP
on MobileNetV2, KSAC on ResNet-50; 257x257, two cores). The graph, unlike layers, is the same for
every backbone, also for those of other packages.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_ctxseg.export.graph.batch_norm_folding import fold_batch_norms
from keras_ctxseg.export.graph.constant_folding import fold_constants
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.models.segmentation_model import image_channels

INPUT = "images"
_OWN_CONSTANT = 2**12  # bytes; what is larger is captured
# A loaded graph takes about 14 times the bytes of its constants, for each signature in use.
_MOST_CONSTANT = 12 * 2**20


class FrozenForward(tf.Module):
    """A model's forward pass at inference.

    Call it inside a `tf.function` or eagerly; a dict of tensors comes back. It holds no Keras
    object, so that what is saved with it loads wherever TensorFlow does.

    Large weights stand outside of the function, which captures them: TensorFlow copies functions
    often, and one of 154 MiB took 6 GiB to load and run with its weights inside. The largest are
    variables, since TensorFlow's session copies captured constants a dozen times. The others are
    constants up to 12 MiB together: a constant kernel is laid out for the processor once, a
    variable in each call.

    Attributes:
        graph_def: the graph itself, one flat graph without functions.
        input_name, output_names: its nodes, for whoever reads or rewrites it.
        function: its concrete function, (images) to a dict.
        weights: the variables that it reads, to be saved with whatever calls it.
    """

    def __init__(
        self,
        graph_def: tf.compat.v1.GraphDef,
        spec: tf.TensorSpec,
        output_names: Mapping[str, str],
    ):
        super().__init__(name="frozen_forward")
        self.graph_def = graph_def
        self.input_name = spec.name
        self.output_names = dict(output_names)
        keys = list(output_names)
        weights = _captured(graph_def)
        self.weights = [value for value in weights.values() if isinstance(value, tf.Variable)]
        remaining = tf.compat.v1.GraphDef(versions=graph_def.versions)
        remaining.node.extend(node for node in graph_def.node if node.name not in weights)

        def run(images):
            tensors = tf.graph_util.import_graph_def(
                remaining,
                input_map={spec.name: images}
                | {f"{name}:0": tf.identity(value) for name, value in weights.items()},
                return_elements=[f"{output_names[key]}:0" for key in keys],
                name="",
            )
            return dict(zip(keys, tensors, strict=True))

        self.function = tf.compat.v1.wrap_function(run, [spec], name="frozen_forward")

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.function(images)


def _captured(graph_def: tf.compat.v1.GraphDef) -> dict[str, tf.Tensor | tf.Variable]:
    """The values of large constants by name, the smallest of them first."""
    values = {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for node in graph_def.node
        if node.op == "Const" and node.ByteSize() > _OWN_CONSTANT
    }
    captured: dict[str, tf.Tensor | tf.Variable] = {}
    total = 0
    for name, value in sorted(values.items(), key=lambda item: item[1].nbytes):
        total += value.nbytes
        fixed = total <= _MOST_CONSTANT
        captured[name] = tf.constant(value) if fixed else tf.Variable(value, trainable=False)
    return captured


def frozen_forward(
    model: keras.Model, input_shape: tuple[int | None, ...] | None = None
) -> FrozenForward:
    """Freezes a model of images and folds BatchNormalization into its convolutions.

    Args:
        model: from float32 images (batch, height, width, channels) to a dict of tensors.
        input_shape: with batch; static sizes where the graph is for one size only; by default any
            batch and size.

    Returns:
        The same outputs, to the rounding of float32.
    """
    if input_shape is None:
        input_shape = (None, None, None, image_channels(model))
    with captured_noise(), tf.device("CPU:0"):
        graph, names = _traced(model, input_shape)
        keep = [INPUT, *names.values()]
        graph = fold_batch_norms(fold_constants(graph, keep), keep)
        # Its place among devices is for whoever runs it to say.
        for node in graph.node:
            node.device = ""
        return FrozenForward(graph, tf.TensorSpec(input_shape, tf.float32, INPUT), names)


def _traced(
    model: keras.Model, input_shape: tuple[int | None, ...]
) -> tuple[tf.compat.v1.GraphDef, dict[str, str]]:
    """One flat graph with the weights' values in it, and its outputs' nodes by name."""
    weights = [
        [variable.numpy() for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    graph = tf.__internal__.FuncGraph("frozen_forward")
    eager = tf.config.functions_run_eagerly()
    # Writes out what Keras hands to XLA as functions of their own (grouped convolutions).
    tf.config.run_functions_eagerly(True)
    try:
        with graph.as_default():
            images = tf.compat.v1.placeholder(tf.float32, input_shape, name=INPUT)
            outputs, _ = model.stateless_call(
                *([tf.constant(value) for value in values] for values in weights),
                images,
                training=False,
            )
            names = {
                name: tf.identity(value, name=f"output_{name}").op.name
                for name, value in outputs.items()
            }
    finally:
        tf.config.run_functions_eagerly(eager)
    return graph.as_graph_def(), names
