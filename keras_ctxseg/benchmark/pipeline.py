"""The input pipeline's pace beside the training's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_ctxseg.data import TrainPipeline
    from keras_ctxseg.runs.config import RunConfig

# Batches that may lie ready when the clock starts.
_PREFETCHED = 4


@dataclass(frozen=True)
class PipelineComparison:
    """Images a second: of the input pipeline alone, and of training steps on one fixed batch.

    `cpu_seconds` is the processor time that the pipeline takes for one image, over all cores: it
    tells less about what else the machine was doing.
    """

    pipeline: float
    training: float
    cpu_seconds: float

    @property
    def ratio(self) -> float:
        return self.pipeline / self.training


def compare_pipeline(
    config: RunConfig, seconds: float = 10.0, rounds: int = 3
) -> PipelineComparison:
    """Measures, in turns, the training pipeline alone and training steps without it.

    The pipeline is timed once its examples are decoded and cached, with nothing else to do; the
    steps are the configuration's own (loss, optimizer, precision) on one batch that is already
    there. So each figure is the rate with the machine to itself.

    Args:
        config: the run.
        seconds: for each measurement of each round, at least one batch.
        rounds: both are measured this often; the best rate of each counts.
    """
    from keras_ctxseg.runs import assembly
    from keras_ctxseg.training.compilation import compile_arguments

    dataset = assembly.load_dataset(config)
    pipeline = assembly.build_pipeline(config, dataset)
    model = assembly.build_model(config, dataset.num_classes, dataset.channels)
    model.compile(
        **compile_arguments(
            model, config.training, dataset.ignore_label, total_steps=pipeline.steps_per_epoch * 100
        )
    )
    images, labels = next(iter(pipeline.build()))
    model.train_on_batch(images, labels)

    pipeline_rates, training_rates, cpu_seconds = [], [], []
    for _ in range(rounds):
        rate, cpu = _pipeline_rate(pipeline, seconds)
        pipeline_rates.append(rate)
        cpu_seconds.append(cpu)
        training_rates.append(_rate(lambda: model.train_on_batch(images, labels), seconds)[0])
    batch_size = config.training.batch_size
    return PipelineComparison(
        pipeline=batch_size * max(pipeline_rates),
        training=batch_size * max(training_rates),
        cpu_seconds=min(cpu_seconds) / batch_size,
    )


def _pipeline_rate(pipeline: TrainPipeline, seconds: float) -> tuple[float, float]:
    # An iterator of its own: its prefetching ends with it and leaves the training steps alone.
    batches = iter(pipeline.build())
    for _ in range(_PREFETCHED):
        next(batches)
    return _rate(lambda: next(batches), seconds)


def _rate(step: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Calls a second, over at least `seconds` and one call; and processor seconds a call."""
    start, cpu_start, calls = time.perf_counter(), time.process_time(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        step()
        calls += 1
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    return calls / wall, cpu / calls
