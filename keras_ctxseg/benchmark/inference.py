"""Forward passes that can be timed."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from keras_ctxseg.costs.graph import frozen, traced

Form = Literal["frozen", "variables"]


def inference_call(
    model: Callable, input_shape: tuple[int, ...], form: Form = "frozen", seed: int = 0
) -> Callable[[], list[tf.Tensor]]:
    """A function without arguments that runs `model` once on a fixed random batch and waits for it.

    It returns the list of output tensors.

    Args:
        model: a Keras model or layer (Keras 3 or tf_keras), called with `training=False`.
        input_shape: all dimensions.
        form: `"frozen"` has the weights as constants, as a served graph does; `"variables"` is the
            plain `tf.function`. Neither is compiled by XLA.
        seed: of the values, uniform in 0..255.
    """
    function = {"frozen": frozen, "variables": traced}[form](model, input_shape)
    values = np.random.default_rng(seed).uniform(0, 255, input_shape).astype("float32")
    inputs = tf.constant(values)

    def call():
        outputs = tf.nest.flatten(function(inputs))
        # A copy waits for the device; one element does not cost a transfer.
        for output in outputs:
            tf.reshape(output, [-1])[:1].numpy()
        return outputs

    return call
