"""Segmentation models: `build` makes them, `list_models` names them."""

from keras_ctxseg.models.registry import build, list_models
from keras_ctxseg.models.segmentation_model import SegmentationModel

__all__ = ["SegmentationModel", "build", "list_models"]
