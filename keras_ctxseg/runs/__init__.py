"""A training run: its configuration, directory, checkpoints, and the objects it is made of."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
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
    from keras_ctxseg.runs.run_directory import RunDirectory

__getattr__, __dir__, __all__ = lazy_exports(__name__)
