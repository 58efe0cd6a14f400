"""From classes, centres and offsets to segments, as operations of every Keras backend."""

from keras_ctxseg._grouping_options import GroupingOptions
from keras_ctxseg.panoptic.centers import Centers, find_centers
from keras_ctxseg.panoptic.grouping import nearest_centers
from keras_ctxseg.panoptic.merging import Segments, merge_segments

__all__ = [
    "Centers",
    "GroupingOptions",
    "Segments",
    "find_centers",
    "merge_segments",
    "nearest_centers",
]
