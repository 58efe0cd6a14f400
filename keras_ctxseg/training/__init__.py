"""Typed configuration, optimizers and schedule, callbacks, and the run.

Everything loads on first use: the configuration needs neither Keras nor TensorFlow, and the
optimizers work on every Keras backend.
"""

import importlib

_HOMES = {
    "AdamW": "optimizers",
    "AugmentationConfig": "config",
    "ConfigError": "config",
    "DataConfig": "config",
    "EvaluationConfig": "config",
    "ExportConfig": "config",
    "ModelConfig": "config",
    "LossScaleOptimizer": "optimizers",
    "PolyDecay": "schedule",
    "PreemptedError": "preemption",
    "RunConfig": "config",
    "RunResult": "run",
    "SGD": "optimizers",
    "TrainingConfig": "config",
    "TrainingDivergedError": "divergence",
    "WorkerLostError": "workers",
    "averaged_weights": "averaging",
    "create_strategy": "strategy",
    "default_compile": "compilation",
    "load_checkpoint": "checkpoint",
    "load_config": "config_file",
    "save_checkpoint": "checkpoint",
    "save_config": "config_file",
    "train": "run",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
