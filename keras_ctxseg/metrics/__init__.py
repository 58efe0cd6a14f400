"""Streaming metrics of label maps, and the scores that follow from counts of pixels."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.metrics.bootstrap import percentile_interval, resample_images
    from keras_ctxseg.metrics.calibration import (
        CalibrationCounts,
        bin_edges,
        calibration_counts,
        calibration_errors,
    )
    from keras_ctxseg.metrics.confusion import ConfusionMatrix, MeanIoU, PixelAccuracy
    from keras_ctxseg.metrics.panoptic_quality import (
        PanopticCounts,
        PanopticQuality,
        PanopticScores,
        count_segments,
        panoptic_scores,
    )
    from keras_ctxseg.metrics.scores import (
        ClassCounts,
        SegmentationScores,
        class_accuracy,
        class_iou,
        mean_iou_policies,
        scores_from_confusion,
        summary_scores,
    )

__getattr__, __dir__, __all__ = lazy_exports(__name__)
