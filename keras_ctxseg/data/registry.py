"""The data sets that `load` knows, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_ctxseg._naming import nearest
from keras_ctxseg._options import REQUIRED, Option, checked_options, options_of
from keras_ctxseg._registry import Registry
from keras_ctxseg.data.dataset import SegmentationDataset

if TYPE_CHECKING:
    from keras_ctxseg.data.builders.published import PublishedDataset

DATASETS = Registry(
    "data set",
    {
        "ade20k": "keras_ctxseg.data.builders.ade20k:load_ade20k",
        "camvid": "keras_ctxseg.data.builders.camvid:load_camvid",
        "cifar10": "keras_ctxseg.data.builders.cifar10:load_cifar10",
        "cityscapes": "keras_ctxseg.data.builders.cityscapes:load_cityscapes",
        "coco_panoptic": "keras_ctxseg.data.builders.coco_panoptic:load_coco_panoptic",
        "coco_stuff": "keras_ctxseg.data.builders.coco_stuff:load_coco_stuff",
        "context_scenes": "keras_ctxseg.data.context_scenes.builder:load_context_scenes",
        "folder": "keras_ctxseg.data.folder:load_folder",
        "oxford_iiit_pet": "keras_ctxseg.data.builders.oxford_iiit_pet:load_oxford_iiit_pet",
        "pascal_context": "keras_ctxseg.data.builders.pascal_context:load_pascal_context",
        "pascal_voc_2012": "keras_ctxseg.data.builders.pascal_voc:load_pascal_voc_2012",
        "tfrecord": "keras_ctxseg.data.tfrecord:load_tfrecord",
    },
)


def register_dataset(
    name: str,
    loader: str | Callable[..., SegmentationDataset] | None = None,
    *,
    replace: bool = False,
) -> Any:
    """Add a data set by name, for `load`, recipes and every command that reads data.

    Args:
        name: lower-case letters, digits and underscores.
        loader: a function `(*, option: type = default, ...)` that returns a `SegmentationDataset`.
            Its keyword-only parameters are the options of `load` and of a recipe's `data.options`;
            one whose type allows `os.PathLike` is a path, relative to where the command starts. A
            string `"package.module:attribute"` is imported on first use. Without `loader`,
            `register_dataset(name)` is a decorator.
        replace: whether another data set of that name may be replaced.

    Returns:
        `loader`, or the decorator.

    Raises:
        ValueError: the name is taken or malformed, or `loader` has other parameters.

    Examples:
        >>> @register_dataset("street_scenes")
        ... def street_scenes(*, path: str | os.PathLike) -> ctx.data.SegmentationDataset:
        ...     return ctx.data.SegmentationDataset("street_scenes", ...)
        >>> dataset = load("street_scenes", path="scenes")
    """
    if loader is None:
        return lambda function: register_dataset(name, function, replace=replace)
    if callable(loader):
        options_of(loader)
    DATASETS.register(name, loader, replace)
    return loader


def list_datasets() -> list[str]:
    """The names that `load` takes, sorted."""
    return sorted(DATASETS)


def load(name: str, **options: Any) -> SegmentationDataset:
    """Load a data set.

    Args:
        name: one of `list_datasets()`.
        **options: the data set's own options; see its `load_...` function.

    Raises:
        ValueError: unknown name or option (with the nearest right one), or files that the data
            set's checks refuse (with the file, what was expected and what was found); or the loader
            of a registered data set returned something else.
    """
    options = checked_options(f"Data set {name!r}", options, dataset_options(name))
    for option, known in dataset_options(name).items():
        if known.default is REQUIRED and option not in options:
            raise ValueError(f"Data set {name!r} needs the option {option!r}. Received: {options}")
    dataset = DATASETS[name](**options)
    if not isinstance(dataset, SegmentationDataset):
        raise ValueError(
            f"The loader of data set {name!r} must return a SegmentationDataset. "
            f"Received: {type(dataset).__name__}"
        )
    return dataset


def dataset_options(name: str) -> dict[str, Option]:
    """The options that `load` takes for a data set, by name.

    Raises:
        ValueError: no data set of that name.
    """
    _check_name(name)
    return options_of(DATASETS[name])


def _check_name(name: str) -> None:
    if name not in DATASETS:
        raise ValueError(
            f"Unknown data set {name!r}. Expected one of {', '.join(list_datasets())}; one of your "
            "own must be registered first, by a module that a recipe names under `imports`."
            f"{nearest(name, list_datasets())}"
        )


def published(name: str) -> PublishedDataset | None:
    """What is known about a published data set without its files; None for others.

    Raises:
        ValueError: no data set of that name.
    """
    _check_name(name)
    module = getattr(DATASETS[name], "__module__", "")
    if not module.startswith("keras_ctxseg.data.builders."):
        return None
    return importlib.import_module(module).PUBLISHED
