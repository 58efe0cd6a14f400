"""What models cost: multiply-adds, time and memory, beside each other and beside other packages."""

from keras_ctxseg.benchmark.inference import inference_call
from keras_ctxseg.benchmark.latency import Latency, measure_latencies, measure_latency
from keras_ctxseg.benchmark.layers import LayerComparison, compare_atrous_layers
from keras_ctxseg.benchmark.memory import PeakMemory, measure_peak_memory
from keras_ctxseg.benchmark.models import ModelBenchmark, benchmark_models
from keras_ctxseg.benchmark.multiply_adds import MultiplyAdds, count_multiply_adds
from keras_ctxseg.benchmark.peers import tf_models_deeplabv3plus
from keras_ctxseg.benchmark.pipeline import PipelineComparison, compare_pipeline

__all__ = [
    "Latency",
    "LayerComparison",
    "ModelBenchmark",
    "MultiplyAdds",
    "PeakMemory",
    "PipelineComparison",
    "benchmark_models",
    "compare_atrous_layers",
    "compare_pipeline",
    "count_multiply_adds",
    "inference_call",
    "measure_latencies",
    "measure_latency",
    "measure_peak_memory",
    "tf_models_deeplabv3plus",
]
