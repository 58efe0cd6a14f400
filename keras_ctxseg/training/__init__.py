"""Typed configuration, optimizers and schedule, callbacks, and the run.

Everything loads on first use: the configuration needs neither Keras nor TensorFlow, and the
optimizers work on every Keras backend.
"""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.data.augmentation_config import AugmentationConfig
    from keras_ctxseg.distribution.workers import WorkerLostError
    from keras_ctxseg.runs.checkpoint import load_checkpoint, save_checkpoint
    from keras_ctxseg.runs.config import (
        ConfigError,
        DataConfig,
        EvaluationConfig,
        ExportConfig,
        ModelConfig,
        RunConfig,
        TrainingConfig,
    )
    from keras_ctxseg.runs.config_file import load_config, save_config
    from keras_ctxseg.training.compilation import default_compile
    from keras_ctxseg.training.divergence import TrainingDivergedError
    from keras_ctxseg.training.optimizers import SGD, AdamW, LossScaleOptimizer
    from keras_ctxseg.training.preemption import PreemptedError
    from keras_ctxseg.training.run import RunResult, train
    from keras_ctxseg.training.schedule import PolyDecay
    from keras_ctxseg.training.strategy import create_strategy
    from keras_ctxseg.training.validation import averaged_weights

__getattr__, __dir__, __all__ = lazy_exports(__name__)
