"""Segmentation models: `build` makes them, `list_models` names them."""

from keras_ctxseg.models.classification_model import ClassificationModel
from keras_ctxseg.models.registry import build, list_models, model_note
from keras_ctxseg.models.segmentation_model import SegmentationModel

__all__ = ["ClassificationModel", "SegmentationModel", "build", "list_models", "model_note"]
