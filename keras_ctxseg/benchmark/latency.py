"""Times of several functions, taken side by side; forward passes and a matrix product to time.

The product is the rate that arithmetic can have at all on this machine.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

from keras_ctxseg.costs.graph import frozen, traced


@dataclass(frozen=True)
class Latency:
    """Wall-clock seconds of each call, in the order in which they were made."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        return min(self.seconds)

    def percentile(self, percent: float) -> float:
        """The time that so many percent of the calls do not exceed, between calls linearly."""
        ordered = sorted(self.seconds)
        place = (len(ordered) - 1) * percent / 100
        low = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    def __str__(self) -> str:
        return (
            f"median {1e3 * self.median:.1f} ms, min {1e3 * self.minimum:.1f} ms"
            f" ({len(self.seconds)} calls)"
        )


def measure_latencies(
    functions: Mapping[str, Callable[[], object]], repeats: int = 20, warmup: int = 3
) -> dict[str, Latency]:
    """Times functions in turns (A B A B ...), so that a slower machine is slower for all of them.

    Args:
        functions: by name; each call must have finished its work when it returns.
        repeats: timed calls of each.
        warmup: calls of each before those, untimed.
    """
    if repeats < 1:
        raise ValueError(f"repeats: expected at least 1. Received {repeats!r}.")
    for _ in range(warmup):
        for function in functions.values():
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: Latency(tuple(values)) for name, values in seconds.items()}


def measure_latency(function: Callable[[], object], repeats: int = 20, warmup: int = 3) -> Latency:
    """Times one function; see `measure_latencies`."""
    return measure_latencies({"": function}, repeats, warmup)[""]


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
