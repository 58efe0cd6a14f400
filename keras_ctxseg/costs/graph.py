"""Models as frozen TensorFlow graphs of one input size, which is what gets counted and timed."""

from collections.abc import Callable

import tensorflow as tf

from keras_ctxseg.export.graph.quiet import captured_noise


def traced(model: Callable, input_shape: tuple[int, ...]) -> tf.types.experimental.ConcreteFunction:
    """The inference graph of `model` for float32 inputs of a static shape, with its variables.

    Args:
        model: a Keras model or layer, of Keras 3 or tf_keras, called with `training=False`.
        input_shape: all dimensions, (batch, height, width, channels) for a model of images.
    """

    @tf.function(autograph=False)
    def infer(inputs):
        return model(inputs, training=False)

    return infer.get_concrete_function(tf.TensorSpec(input_shape, tf.float32))


def frozen(model: Callable, input_shape: tuple[int, ...]) -> tf.types.experimental.ConcreteFunction:
    """As `traced`, with variables turned into constants and function calls inlined."""
    with captured_noise():
        return _freeze(traced(model, input_shape))


def forward_operations(model: Callable, input_shape: tuple[int, ...]) -> list[tf.Operation]:
    """The operations that the outputs of `model` depend on, in one flat graph, for reading.

    Traced as in `traced`, but without function calls, so that every shape shows: what Keras hands
    to XLA as a function of its own (grouped convolutions) is written out too.
    """
    graph = tf.__internal__.FuncGraph("forward")
    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with graph.as_default():
            inputs = tf.compat.v1.placeholder(tf.float32, input_shape)
            outputs = tf.nest.flatten(model(inputs, training=False))
    finally:
        tf.config.run_functions_eagerly(eager)
    needed, waiting = {}, [output.op for output in outputs]
    while waiting:
        operation = waiting.pop()
        if operation.name not in needed:
            needed[operation.name] = operation
            waiting.extend(tensor.op for tensor in operation.inputs)
    return list(needed.values())


def _freeze(function):
    # Not exported by TensorFlow, but the way that its own converters take.
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    return convert_variables_to_constants_v2(function, lower_control_flow=False)
