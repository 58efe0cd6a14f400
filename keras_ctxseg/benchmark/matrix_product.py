"""The rate that arithmetic can have at all on this machine: a large float32 matrix product."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

SIDE = 2048


def matrix_product(side: int = SIDE) -> tuple[Callable[[], None], dict]:
    """A call that multiplies two square matrices, and its `multiply_adds`.

    The product is TensorFlow's, by the library that its convolutions use.
    """
    left, right = (
        tf.constant(np.random.default_rng(seed).normal(size=(side, side)).astype("float32"))
        for seed in (0, 1)
    )

    @tf.function(autograph=False)
    def product():
        return tf.matmul(left, right)

    def call():
        product()[0, 0].numpy()

    return call, {"multiply_adds": side**3, "versions": {"tensorflow": tf.__version__}}
