"""A model's parameters, multiply-adds, latency and memory; beside a peer's if asked."""

import math
from dataclasses import dataclass

import keras

from keras_ctxseg.benchmark.inference import Form, inference_call
from keras_ctxseg.benchmark.latency import Latency, measure_latencies
from keras_ctxseg.benchmark.memory import PeakMemory, measure_peak_memory
from keras_ctxseg.benchmark.multiply_adds import MultiplyAdds, count_multiply_adds


@dataclass(frozen=True)
class PeerBenchmark:
    """The peer's side of a comparison."""

    parameters: int
    multiply_adds: MultiplyAdds
    latency: Latency


@dataclass(frozen=True)
class ModelBenchmark:
    """What a forward pass of one image costs. `parameters` are the trainable ones."""

    parameters: int
    multiply_adds: MultiplyAdds
    latency: Latency
    memory: PeakMemory | None = None
    peer: PeerBenchmark | None = None

    @property
    def peer_ratio(self) -> float | None:
        """Median latency over the peer's."""
        return None if self.peer is None else self.latency.median / self.peer.latency.median


def benchmark_model(
    model: keras.Model,
    input_size: tuple[int, int],
    *,
    form: Form = "frozen",
    repeats: int = 20,
    memory: bool = True,
    peer=None,
) -> ModelBenchmark:
    """Measures the inference of one image.

    Both networks take float32 images and give all their outputs at the image's size, in the same
    form; the runs alternate.

    Args:
        model: the Keras model; of its outputs `"logits"` alone is computed.
        input_size: height and width in pixels.
        form: see `inference_call`.
        repeats: timed passes.
        memory: whether to measure memory too, in another process.
        peer: what to time beside it, from `peers.py`.
    """
    shape = (1, *input_size, 3)

    def logits(images, training=False):
        return model(images, training=training)["logits"]

    calls = {"model": inference_call(logits, shape, form)}
    if peer is not None:
        calls["peer"] = inference_call(peer, shape, form)
    latencies = measure_latencies(calls, repeats)
    measured_peer = None
    if peer is not None:
        measured_peer = PeerBenchmark(
            trainable_parameters(peer), count_multiply_adds(peer, input_size), latencies["peer"]
        )
    return ModelBenchmark(
        parameters=trainable_parameters(model),
        multiply_adds=count_multiply_adds(logits, input_size),
        latency=latencies["model"],
        memory=measure_peak_memory(model, input_size) if memory else None,
        peer=measured_peer,
    )


def trainable_parameters(model) -> int:
    """Number of trainable parameters of a model or layer, of Keras 3 or tf_keras."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)
