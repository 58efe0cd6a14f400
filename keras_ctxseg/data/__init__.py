"""Data sets, their checks, and the training pipeline.

    dataset = ctx.data.load("folder", path="camvid")        # or "context_scenes"
    augmentation = ctx.data.AugmentationConfig(crop_size=(180, 240))
    pipeline = ctx.data.TrainPipeline(dataset, "train", augmentation, batch_size=8, image_scale=0.5)
    model.fit(pipeline.build(), steps_per_epoch=pipeline.steps_per_epoch)

Names load when first asked for, so that `ctx.data.palettes` and `ctx.data.AugmentationConfig`
work in a process without TensorFlow.
"""

import importlib

_HOMES = {
    "AugmentationConfig": "augmentation_config",
    "ClassMixConfig": "augmentation_config",
    "CopyPasteConfig": "augmentation_config",
    "MosaicConfig": "augmentation_config",
    "RandAugmentConfig": "augmentation_config",
    "SegmentationDataset": "dataset",
    "TrainPipeline": "pipeline",
    "check": "checks",
    "evaluation_examples": "evaluation_split",
    "list_datasets": "registry",
    "load": "registry",
    "published": "registry",
    "read_image": "images",
    "write_tfrecords": "tfrecord",
}
_MODULES = ("palettes",)

__all__ = [
    "AugmentationConfig",
    "ClassMixConfig",
    "CopyPasteConfig",
    "MosaicConfig",
    "RandAugmentConfig",
    "SegmentationDataset",
    "TrainPipeline",
    "check",
    "evaluation_examples",
    "list_datasets",
    "load",
    "palettes",
    "published",
    "read_image",
    "write_tfrecords",
]


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
