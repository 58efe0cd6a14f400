"""What models cost: multiply-adds, time and memory, beside each other and beside other packages."""

from keras_ctxseg.benchmark.dry_run import DryRun, dry_run
from keras_ctxseg.benchmark.inference import inference_call
from keras_ctxseg.benchmark.latency import Latency, measure_latencies, measure_latency
from keras_ctxseg.benchmark.layers import LayerComparison, compare_atrous_layers
from keras_ctxseg.benchmark.memory import PeakMemory, measure_peak_memory
from keras_ctxseg.benchmark.models import ModelBenchmark, benchmark_models
from keras_ctxseg.benchmark.multiply_adds import MultiplyAdds, count_multiply_adds
from keras_ctxseg.benchmark.peers import tf_models_deeplabv3plus
from keras_ctxseg.benchmark.pipeline import PipelineComparison, compare_pipeline
from keras_ctxseg.benchmark.training_memory import TrainingMemory, estimate_training_memory

__all__ = [
    "DryRun",
    "Latency",
    "LayerComparison",
    "ModelBenchmark",
    "MultiplyAdds",
    "PeakMemory",
    "PipelineComparison",
    "TrainingMemory",
    "benchmark_models",
    "compare_atrous_layers",
    "compare_pipeline",
    "count_multiply_adds",
    "dry_run",
    "estimate_training_memory",
    "inference_call",
    "measure_latencies",
    "measure_latency",
    "measure_peak_memory",
    "tf_models_deeplabv3plus",
]
