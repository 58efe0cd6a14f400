"""From images to logits and label maps: passes, windows, protocols, panoptic grouping."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.inference.panoptic import (
        PanopticPrediction,
        PanopticPredictor,
        SegmentList,
    )
    from keras_ctxseg.inference.predictor import Prediction, Predictor
    from keras_ctxseg.inference.protocol import PROTOCOLS, Protocol, named_protocol

__getattr__, __dir__, __all__ = lazy_exports(__name__)
