"""keras_ctxseg: context-aware semantic segmentation on Keras 3.

Importing the package registers every layer, loss, metric, optimizer and model with Keras, so that
`keras.models.load_model` needs no `custom_objects`. Everything else is imported on first use.
"""

import importlib
import importlib.util
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports
from keras_ctxseg._registration import register_classes
from keras_ctxseg._version import __version__
from keras_ctxseg.models import weights_elsewhere

if TYPE_CHECKING:
    from keras_ctxseg import (
        backbones,
        benchmark,
        cli,
        convert,
        costs,
        data,
        data_tools,
        distribution,
        doctor,
        evaluation,
        export,
        heads,
        inference,
        labels,
        layers,
        losses,
        metrics,
        models,
        panoptic,
        prediction,
        runs,
        search,
        training,
    )

__getattr__, __dir__, __all__ = lazy_exports(__name__)
__all__ += ["__version__"]


def _load_elsewhere(model, weights: str, backbone=None) -> str:
    return importlib.import_module(f"{__name__}.convert").load_elsewhere(model, weights, backbone)


# The core must not look upwards to where other projects' weights are converted; it is told here.
weights_elsewhere.load = _load_elsewhere


# The `ctxseg` command prints its help without waiting for Keras: there, whoever loads a model
# registers. Machines that only run exported files need no Keras at all.
_is_command = PurePath(sys.argv[0] if sys.argv else "").stem == "ctxseg"
if not _is_command and importlib.util.find_spec("keras") is not None:
    register_classes()
