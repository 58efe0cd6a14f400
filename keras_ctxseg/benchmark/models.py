"""What models cost, side by side: parameters, multiply-adds, latency and memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras

from keras_ctxseg.benchmark.latency import Form, Latency, inference_call, measure_latencies
from keras_ctxseg.costs.memory import PeakMemory, measure_peak_memory
from keras_ctxseg.costs.multiply_adds import (
    MultiplyAdds,
    count_multiply_adds,
    trainable_parameters,
)


@dataclass(frozen=True)
class ModelBenchmark:
    """What a forward pass of one image costs. `parameters` are the trainable ones."""

    parameters: int
    multiply_adds: MultiplyAdds
    latency: Latency
    memory: PeakMemory | None = None


def benchmark_models(
    models: Mapping[str, Callable],
    input_size: tuple[int, int],
    *,
    form: Form = "frozen",
    repeats: int = 20,
    memory: bool = True,
) -> dict[str, ModelBenchmark]:
    """Measures the inference of one image by each of several networks.

    All take float32 images and give logits at the image's size, in the same form; the timed runs
    alternate.

    Args:
        models: by name: Keras models of this package, of whose outputs `"logits"` alone is
            computed, or other packages' networks from `peers.py`.
        input_size: height and width in pixels.
        form: see `inference_call`.
        repeats: timed passes of each.
        memory: whether to measure memory too, each Keras 3 model in another process.
    """
    shape = (1, *input_size, 3)
    functions = {name: _logits(model) for name, model in models.items()}
    latencies = measure_latencies(
        {name: inference_call(call, shape, form) for name, call in functions.items()}, repeats
    )
    return {
        name: ModelBenchmark(
            parameters=trainable_parameters(model),
            multiply_adds=count_multiply_adds(functions[name], input_size),
            latency=latencies[name],
            memory=measure_peak_memory(model, input_size)
            if memory and isinstance(model, keras.Model)
            else None,
        )
        for name, model in models.items()
    }


def _logits(model: Callable) -> Callable:
    if not isinstance(model, keras.Model):
        return model
    return lambda images, training=False: model(images, training=training)["logits"]
