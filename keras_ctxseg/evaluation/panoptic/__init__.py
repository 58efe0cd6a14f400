"""Segments: predicted, scored, drawn, and exchanged in COCO's format."""

from keras_ctxseg.evaluation.panoptic.predictor import (
    PanopticPrediction,
    PanopticPredictor,
    SegmentList,
)

__all__ = ["PanopticPrediction", "PanopticPredictor", "SegmentList"]
