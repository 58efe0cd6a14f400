"""One gradient function for every backend of Keras."""

import numpy as np
import pytest


def _value_and_gradient(function, logits):
    """`function(logits)` and its gradient, both as NumPy arrays."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        variable = tf.Variable(logits)
        with tf.GradientTape() as tape:
            value = function(variable)
        return value.numpy(), tape.gradient(value, variable).numpy()
    if backend == "jax":
        import jax

        value, gradient = jax.value_and_grad(function)(logits)
        return np.asarray(value), np.asarray(gradient)
    import torch

    tensor = torch.tensor(logits, requires_grad=True)
    value = function(tensor)
    value.backward()
    return value.detach().numpy(), tensor.grad.numpy()


@pytest.fixture
def value_and_gradient():
    return _value_and_gradient
