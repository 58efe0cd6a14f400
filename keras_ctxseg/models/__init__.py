"""Segmentation models: `build` makes them, `list_models` names them."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    # `register_family` from here, too: this package's own families are then registered first.
    from keras_ctxseg.models.registry import (
        build,
        list_models,
        model_note,
        model_options,
        register_family,
    )
    from keras_ctxseg.models.segmentation_model import ClassificationModel, SegmentationModel

__getattr__, __dir__, __all__ = lazy_exports(__name__)
