"""ASPP beside SharedKernelASPP on the same features."""

from dataclasses import dataclass

from keras_ctxseg.benchmark.latency import Form, Latency, inference_call, measure_latencies
from keras_ctxseg.costs.multiply_adds import MultiplyAdds, count_multiply_adds, trainable_parameters


@dataclass(frozen=True)
class LayerComparison:
    """Forward times, parameters and multiply-adds of both layers."""

    aspp: Latency
    shared_kernel: Latency
    aspp_parameters: int
    shared_kernel_parameters: int
    aspp_multiply_adds: MultiplyAdds
    shared_kernel_multiply_adds: MultiplyAdds

    @property
    def ratio(self) -> float:
        """Median of SharedKernelASPP over median of ASPP."""
        return self.shared_kernel.median / self.aspp.median


def compare_atrous_layers(
    channels: int = 2048,
    filters: int = 256,
    rates: tuple[int, ...] = (6, 12, 18, 24),
    size: tuple[int, int] = (65, 65),
    form: Form = "frozen",
    repeats: int = 20,
) -> LayerComparison:
    """Times both layers' inference in turns, batch 1.

    Args:
        channels: of the feature map.
        filters: of each branch and of the output.
        rates: atrous rates of both.
        size: height and width of the feature map.
        form: see `inference_call`.
        repeats: timed calls of each.
    """
    import keras

    from keras_ctxseg.layers import ASPP, SharedKernelASPP

    shape = (1, *size, channels)
    layers: dict[str, keras.layers.Layer] = {
        "aspp": ASPP(filters=filters, rates=rates),
        "shared_kernel": SharedKernelASPP(filters=filters, rates=rates),
    }
    for layer in layers.values():
        layer.build(shape)
    calls = {name: inference_call(layer, shape, form) for name, layer in layers.items()}
    latencies = measure_latencies(calls, repeats)
    aspp, shared_kernel = layers.values()
    return LayerComparison(
        aspp=latencies["aspp"],
        shared_kernel=latencies["shared_kernel"],
        aspp_parameters=trainable_parameters(aspp),
        shared_kernel_parameters=trainable_parameters(shared_kernel),
        aspp_multiply_adds=count_multiply_adds(aspp, shape[1:]),
        shared_kernel_multiply_adds=count_multiply_adds(shared_kernel, shape[1:]),
    )
