"""Data sets, their checks, and the training pipeline.

    dataset = ctx.data.load("folder", path="camvid")        # or "context_scenes"
    augmentation = ctx.data.AugmentationConfig(crop_size=(180, 240))
    pipeline = ctx.data.TrainPipeline(dataset, "train", augmentation, batch_size=8, image_scale=0.5)
    model.fit(pipeline.build(), steps_per_epoch=pipeline.steps_per_epoch)

Names load when first asked for, so that `ctx.data.palettes` and `ctx.data.AugmentationConfig`
work in a process without TensorFlow.
"""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.data import palettes
    from keras_ctxseg.data.augmentation_config import (
        AugmentationConfig,
        ClassMixConfig,
        CopyPasteConfig,
        MosaicConfig,
        RandAugmentConfig,
    )
    from keras_ctxseg.data.channel_statistics import measure_normalization
    from keras_ctxseg.data.dataset import SegmentationDataset, evaluation_examples
    from keras_ctxseg.data.image_reading import ImageReading
    from keras_ctxseg.data.images import read_image
    from keras_ctxseg.data.pipeline import TrainPipeline
    from keras_ctxseg.data.registry import (
        dataset_options,
        list_datasets,
        load,
        published,
        register_dataset,
    )
    from keras_ctxseg.data.tfrecord import write_tfrecords

__getattr__, __dir__, __all__ = lazy_exports(__name__)
