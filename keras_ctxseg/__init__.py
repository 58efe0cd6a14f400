"""keras_ctxseg: context-aware semantic segmentation on Keras 3.

Importing the package registers every layer, loss, metric and model with Keras, so that
`keras.models.load_model` needs no `custom_objects`. Parts that need TensorFlow, data sets or the
file system load on first use.
"""

import importlib
import sys
from pathlib import PurePath

from keras_ctxseg import _weights_elsewhere
from keras_ctxseg._version import __version__

_CORE = ("layers", "backbones", "heads", "models", "losses", "metrics", "panoptic")
# Keras must know the optimizers and the schedule too before it can load a compiled checkpoint.
_REGISTERED = ("training.optimizers", "training.schedule")
_LAZY = (
    "data",
    "training",
    "evaluation",
    "export",
    "convert",
    "benchmark",
    "search",
    "doctor",
    "cli",
)

__all__ = ["__version__", *_CORE, *_LAZY]


def __getattr__(name: str):
    if name in _CORE or name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


def _load_elsewhere(model, weights: str) -> str:
    return importlib.import_module(f"{__name__}.convert").load_elsewhere(model, weights)


# The core must not look upwards to where other projects' weights are converted; it is told here.
_weights_elsewhere.load = _load_elsewhere

# The `ctxseg` command prints its help without waiting for Keras, and loads the core when needed.
if PurePath(sys.argv[0] if sys.argv else "").stem != "ctxseg":
    for _part in (*_CORE, *_REGISTERED):
        importlib.import_module(f"{__name__}.{_part}")
