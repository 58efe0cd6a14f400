"""From classes, centres and offsets to segments, as operations of every Keras backend."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.panoptic.centers import Centers, find_centers
    from keras_ctxseg.panoptic.grouping import nearest_centers
    from keras_ctxseg.panoptic.merging import Segments, merge_segments
    from keras_ctxseg.panoptic.options import GroupingOptions

__getattr__, __dir__, __all__ = lazy_exports(__name__)
