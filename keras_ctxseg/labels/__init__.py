"""Label maps: class ids, panoptic labels, and what losses and metrics share about them."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.labels.panoptic import (
        CROWD,
        IGNORE_LABEL,
        STEP,
        class_ids,
        instance_numbers,
        is_panoptic,
        panoptic_labels,
    )

__getattr__, __dir__, __all__ = lazy_exports(__name__)
