"""Segments: predicted, scored, drawn, and exchanged in COCO's format."""

from keras_ctxseg.evaluation.panoptic.coco_format import CocoPanopticWriter, read_coco_panoptic
from keras_ctxseg.evaluation.panoptic.overlay import segment_overlay
from keras_ctxseg.evaluation.panoptic.predictor import (
    PanopticPrediction,
    PanopticPredictor,
    SegmentList,
)

__all__ = [
    "CocoPanopticWriter",
    "PanopticPrediction",
    "PanopticPredictor",
    "SegmentList",
    "read_coco_panoptic",
    "segment_overlay",
]
