"""Losses on float logits and integer label maps; nothing but Keras and NumPy."""

from keras_ctxseg.losses.class_presence import ClassPresenceLoss
from keras_ctxseg.losses.segmentation_crossentropy import SegmentationCrossentropy

__all__ = ["ClassPresenceLoss", "SegmentationCrossentropy"]
