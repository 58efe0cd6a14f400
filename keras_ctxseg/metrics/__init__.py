"""Streaming metrics of label maps, and the scores that follow from counts of pixels."""

from keras_ctxseg.metrics.bootstrap import percentile_interval, resample_images
from keras_ctxseg.metrics.calibration import (
    CalibrationCounts,
    bin_edges,
    calibration_counts,
    calibration_errors,
)
from keras_ctxseg.metrics.class_counts import (
    ClassCounts,
    class_accuracy,
    class_iou,
    mean_iou_policies,
    summary_scores,
)
from keras_ctxseg.metrics.confusion import ConfusionMatrix
from keras_ctxseg.metrics.mean_iou import MeanIoU
from keras_ctxseg.metrics.panoptic_quality import (
    PanopticCounts,
    PanopticQuality,
    PanopticScores,
    count_segments,
    panoptic_scores,
)
from keras_ctxseg.metrics.pixel_accuracy import PixelAccuracy
from keras_ctxseg.metrics.scores import SegmentationScores, scores_from_confusion

__all__ = [
    "CalibrationCounts",
    "ClassCounts",
    "ConfusionMatrix",
    "MeanIoU",
    "PanopticCounts",
    "PanopticQuality",
    "PanopticScores",
    "PixelAccuracy",
    "SegmentationScores",
    "bin_edges",
    "calibration_counts",
    "calibration_errors",
    "class_accuracy",
    "class_iou",
    "count_segments",
    "mean_iou_policies",
    "panoptic_scores",
    "percentile_interval",
    "resample_images",
    "scores_from_confusion",
    "summary_scores",
]
