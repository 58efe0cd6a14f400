"""Losses on float outputs and integer label maps; nothing but Keras and NumPy."""

from keras_ctxseg.losses.center_losses import CenterHeatmapLoss, CenterOffsetLoss
from keras_ctxseg.losses.class_presence import ClassPresenceLoss
from keras_ctxseg.losses.segmentation_crossentropy import SegmentationCrossentropy

__all__ = [
    "CenterHeatmapLoss",
    "CenterOffsetLoss",
    "ClassPresenceLoss",
    "SegmentationCrossentropy",
]
