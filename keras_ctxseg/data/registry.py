"""The data sets that `load` knows, by name."""

import importlib
import inspect
from collections.abc import Callable

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.dataset import SegmentationDataset

_LOADERS = {
    "cityscapes": "keras_ctxseg.data.builders.cityscapes:load_cityscapes",
    "context_scenes": "keras_ctxseg.data.context_scenes.load:load_context_scenes",
    "folder": "keras_ctxseg.data.folder:load_folder",
    "pascal_voc_2012": "keras_ctxseg.data.builders.pascal_voc:load_pascal_voc_2012",
}


def list_datasets() -> list[str]:
    """The names that `load` takes, sorted."""
    return sorted(_LOADERS)


def load(name: str, **options) -> SegmentationDataset:
    """Load a data set.

    Args:
        name: one of `list_datasets()`.
        **options: the data set's own options; see `load_folder` and `load_context_scenes`.

    Raises:
        ValueError: unknown name or option (with the nearest right one), or files that the data
            set's checks refuse (with the file, what was expected and what was found).
    """
    if name not in _LOADERS:
        raise ValueError(
            f"Unknown data set {name!r}. Expected one of {', '.join(list_datasets())}."
            f"{nearest(name, list_datasets())}"
        )
    loader = _find(name)
    parameters = inspect.signature(loader).parameters
    for option in options:
        if option not in parameters:
            raise ValueError(
                f"Data set {name!r} has no option {option!r}. Expected one of "
                f"{', '.join(parameters)}.{nearest(option, list(parameters))}"
            )
    for option, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and option not in options:
            raise ValueError(f"Data set {name!r} needs the option {option!r}. Received: {options}")
    return loader(**options)


def _find(name: str) -> Callable[..., SegmentationDataset]:
    module, function = _LOADERS[name].split(":")
    return getattr(importlib.import_module(module), function)
