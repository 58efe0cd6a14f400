"""Predictions from files to files: images and videos in, label maps and overlays out."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.data.palettes import segment_overlay
    from keras_ctxseg.prediction.coco_panoptic import CocoPanopticWriter, read_coco_panoptic
    from keras_ctxseg.prediction.exported import predict_exported
    from keras_ctxseg.prediction.images import predict
    from keras_ctxseg.prediction.label_files import LabelFormat, label_format
    from keras_ctxseg.prediction.video import PredictedVideo, label_video, predict_video
    from keras_ctxseg.prediction.written_predictions import PredictedImage, PredictionResult

__getattr__, __dir__, __all__ = lazy_exports(__name__)
