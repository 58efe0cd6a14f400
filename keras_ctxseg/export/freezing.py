"""From a Keras model to one frozen function: constants for variables, convolutions that contain
their BatchNormalization."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_ctxseg.export.batch_norm_folding import fold_batch_norms
from keras_ctxseg.export.constant_folding import fold_constants
from keras_ctxseg.export.quiet import captured_noise


class FrozenForward(tf.Module):
    """A model's forward pass at inference, without variables.

    Call it inside a `tf.function` or eagerly; a dict of tensors comes back. It holds no Keras
    object, so that what is saved with it loads wherever TensorFlow does.

    Attributes:
        graph_def: the graph itself, one flat graph without functions.
        input_name, output_names: its nodes, for whoever reads or rewrites it.
        function: its concrete function, (images) to a dict.
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

        def run(images):
            tensors = tf.graph_util.import_graph_def(
                graph_def,
                input_map={spec.name: images},
                return_elements=[f"{output_names[key]}:0" for key in keys],
                name="",
            )
            return dict(zip(keys, tensors, strict=True))

        self.function = tf.compat.v1.wrap_function(run, [spec], name="frozen_forward")

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.function(images)


def frozen_forward(
    model: keras.Model,
    input_shape: tuple[int | None, ...] = (None, None, None, 3),
) -> FrozenForward:
    """Freezes a model of images and folds BatchNormalization into its convolutions.

    Args:
        model: from float32 images (batch, height, width, 3) to a dict of tensors.
        input_shape: with batch; static sizes where the graph is for one size only.

    Returns:
        The same outputs, to the rounding of float32.
    """
    spec = tf.TensorSpec(input_shape, tf.float32, name="images")

    @tf.function(input_signature=[spec], autograph=False)
    def infer(images):
        outputs = model(images, training=False)
        return {name: tf.identity(value, name=f"out_{name}") for name, value in outputs.items()}

    with captured_noise(), tf.device("CPU:0"):
        traced = infer.get_concrete_function()
        frozen = _constants_for_variables(traced)
        # Structured outputs are flat in the order of their sorted names.
        names = dict(
            zip(sorted(traced.structured_outputs), (t.op.name for t in frozen.outputs), strict=True)
        )
        graph = frozen.graph.as_graph_def()
        keep = [frozen.inputs[0].op.name, *names.values()]
        graph = fold_batch_norms(fold_constants(graph, keep), keep)
        # Its place among devices is for whoever runs it to say.
        for node in graph.node:
            node.device = ""
        return FrozenForward(graph, tf.TensorSpec(input_shape, tf.float32, keep[0]), names)


def _constants_for_variables(function):
    # Not exported by TensorFlow, but the way that its own converters take.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function, lower_control_flow=False)
