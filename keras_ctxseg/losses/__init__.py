"""Losses on float outputs and integer label maps; nothing but Keras and NumPy."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.losses.boundary import BoundaryLoss
    from keras_ctxseg.losses.center_losses import CenterHeatmapLoss, CenterOffsetLoss
    from keras_ctxseg.losses.class_presence import ClassPresenceLoss
    from keras_ctxseg.losses.focal import FocalLoss
    from keras_ctxseg.losses.lovasz_softmax import LovaszSoftmaxLoss
    from keras_ctxseg.losses.overlap_losses import DiceLoss, JaccardLoss, TverskyLoss
    from keras_ctxseg.losses.segmentation_crossentropy import SegmentationCrossentropy
    from keras_ctxseg.losses.weighted_sum import WeightedSum

__getattr__, __dir__, __all__ = lazy_exports(__name__)
