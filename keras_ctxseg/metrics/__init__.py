"""Streaming metrics of label maps, and the scores that follow from a confusion matrix."""

from keras_ctxseg.metrics.confusion import ConfusionMatrix
from keras_ctxseg.metrics.mean_iou import MeanIoU
from keras_ctxseg.metrics.pixel_accuracy import PixelAccuracy
from keras_ctxseg.metrics.scores import SegmentationScores, scores_from_confusion

__all__ = [
    "ConfusionMatrix",
    "MeanIoU",
    "PixelAccuracy",
    "SegmentationScores",
    "scores_from_confusion",
]
