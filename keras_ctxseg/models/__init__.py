"""Segmentation models: `build` makes them, `list_models` names them."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.models.registry import build, list_models, model_note
    from keras_ctxseg.models.segmentation_model import ClassificationModel, SegmentationModel

__getattr__, __dir__, __all__ = lazy_exports(__name__)
