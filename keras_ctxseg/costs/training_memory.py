"""How much memory a training step needs, read from its graph, without running it."""

import math
from dataclasses import dataclass

import keras
import tensorflow as tf

# Operations whose result depends on the shape of their input only.
_SHAPE_ONLY = ("Shape", "ShapeN", "Size", "Rank", "BroadcastGradientArgs")
_NOT_COMPUTED = ("Const", "Placeholder", "ReadVariableOp")


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes.

    Attributes:
        state: weights, one gradient for each trainable one, and the optimizer's variables.
        activations: every tensor of the forward pass that the backward pass reads, all of which
            are there at once when the backward pass begins.
    """

    state: int
    activations: int

    @property
    def total(self) -> int:
        """What a step needs at least; workspaces, fragmentation and input batches come on top."""
        return self.state + self.activations


def estimate_training_memory(
    model: keras.Model, input_size: tuple[int, int], batch_size: int
) -> TrainingMemory:
    """Estimates the memory of one optimizer step on one device.

    The step is traced for the full size as TensorFlow would run it without XLA, which may fuse
    some of the tensors away.

    Args:
        model: a compiled model whose output is a dict of logits.
        input_size: height and width of the crop.
        batch_size: images of the step on this device.
    """
    model.optimizer.build(model.trainable_variables)
    trainable = [variable.value for variable in model.trainable_variables]
    graph = tf.__internal__.FuncGraph("training_step")
    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)  # Writes functions out, so that every tensor shows.
    try:
        with graph.as_default():
            shape = (batch_size, *input_size, model.inputs[0].shape[-1])
            images = tf.compat.v1.placeholder(tf.float32, shape)
            labels = tf.compat.v1.placeholder(tf.int32, (batch_size, *input_size))
            with tf.GradientTape() as tape:
                outputs = model(images, training=True)
                targets = dict.fromkeys(outputs, labels)
                loss = model.compute_loss(images, targets, outputs, training=True)
            forward = {operation.name for operation in graph.get_operations()}
            tape.gradient(loss, trainable)
    finally:
        tf.config.run_functions_eagerly(eager)
    kept = {
        tensor.name: tensor
        for operation in graph.get_operations()
        if operation.name not in forward and operation.type not in _SHAPE_ONLY
        for tensor in operation.inputs
        if tensor.op.name in forward and tensor.op.type not in _NOT_COMPUTED
    }
    return TrainingMemory(
        state=sum(
            map(
                _variable_bytes,
                [*model.variables, *model.trainable_variables, *model.optimizer.variables],
            )
        ),
        activations=sum(map(_tensor_bytes, kept.values())),
    )


def _variable_bytes(variable) -> int:
    # Random seeds and counters among them are 32 or 64 bits too, and few.
    return math.prod(variable.shape) * tf.as_dtype(variable.dtype).size


def _tensor_bytes(tensor: tf.Tensor) -> int:
    """0 where the shape is not known: statistics that batch normalisation reserves, a few bytes."""
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size
