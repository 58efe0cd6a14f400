"""Classes and things of an image become its segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_ctxseg.labels.maps import count_ids
from keras_ctxseg.labels.panoptic import IGNORE_LABEL, panoptic_labels
from keras_ctxseg.panoptic.centers import find_centers
from keras_ctxseg.panoptic.grouping import nearest_centers
from keras_ctxseg.panoptic.options import GroupingOptions


class Segments(NamedTuple):
    """The segments of one image, things first, the highest centre before the others.

    Attributes:
        ids: int32 (height, width), the segment of each pixel, 1 ... count; 0 is void.
        labels: int32 (height, width), the panoptic label map, class + 1024 · instance; void pixels
            hold the ignore label.
        categories: int32 (slots,), the class of segment k at place k - 1; -1 beyond `count`.
        scores: float32 (slots,), the mean probability of the segment's pixels, for things times
            the height of the centre (1 at most); 0 beyond `count`.
        areas: int32 (slots,), pixels; 0 beyond `count`.
        count: int32 scalar.

    There are `max_instances` + classes slots.
    """

    ids: Any
    labels: Any
    categories: Any
    scores: Any
    areas: Any
    count: Any


def merge_segments(
    classes: Any,
    confidence: Any,
    heatmap: Any,
    offsets: Any,
    num_classes: int,
    thing_classes: Sequence[int],
    ignore_label: int = IGNORE_LABEL,
    options: GroupingOptions | None = None,
) -> Segments:
    """Groups the pixels of thing classes around centres, and lets the classes vote.

    A thing has the class that most of its pixels have, of thing classes; of equally many the first.
    Pixels of thing classes in an image without centres, and stuff of too few pixels, become void.

    Args:
        classes: int32 (height, width), the semantic class of each pixel.
        confidence: float32 (height, width), its probability.
        heatmap: float32 (height, width).
        offsets: float32 (height, width, 2), down and right, in pixels.
        num_classes: how many there are.
        thing_classes: ids of those whose objects are told apart.
        ignore_label: the label of void pixels.
        options: of grouping and merging; `GroupingOptions()` where missing.

    Reference: Cheng et al., "Panoptic-DeepLab", arXiv 1911.10194, section 3.3.
    """
    options = options or GroupingOptions()
    most = options.max_instances
    is_thing = np.isin(np.arange(num_classes), list(thing_classes))
    centers = find_centers(heatmap, options)
    on_thing = ops.take(ops.convert_to_tensor(is_thing), classes)
    things = ops.where(on_thing, nearest_centers(offsets, centers), 0)

    # Each pixel's slot: void, a thing, or a stuff class.
    slots = 1 + most + num_classes
    slot = ops.where(on_thing, things, 1 + most + classes)
    areas = count_ids(slot, slots)
    votes = count_ids(things * num_classes + classes, (most + 1) * num_classes)
    votes = ops.reshape(votes, (most + 1, num_classes))[1:]
    voted = ops.cast(ops.argmax(ops.where(is_thing, votes, -1), axis=-1), "int32")

    large_enough = np.where(np.arange(slots) > most, max(options.min_stuff_area, 1), 1)
    kept = ops.logical_and(areas >= large_enough, np.arange(slots) > 0)
    ids = ops.where(kept, ops.cumsum(ops.cast(kept, "int32")), 0)
    categories = ops.concatenate([voted, ops.arange(num_classes, dtype="int32")])
    thing_numbers = ops.concatenate([ids[1 : most + 1], ops.zeros((num_classes,), "int32")])
    labels = panoptic_labels(categories, thing_numbers)
    labels = ops.where(kept, ops.pad(labels, ((1, 0),)), ignore_label)

    sums = ops.segment_sum(ops.reshape(confidence, (-1,)), ops.reshape(slot, (-1,)), slots)
    heights = ops.concatenate([ops.clip(centers.heights, 0.0, 1.0), ops.ones((num_classes,))])
    scores = ops.divide_no_nan(sums, ops.cast(areas, "float32"))[1:] * heights
    # Kept slots to the front, in their order.
    order = ops.argsort(ops.where(kept[1:], ids[1:], slots))
    kept_first = ops.take(kept[1:], order)

    def table(values, missing):
        return ops.where(kept_first, ops.take(values, order), missing)

    return Segments(
        ids=ops.take(ids, slot),
        labels=ops.take(labels, slot),
        categories=table(categories, -1),
        scores=table(scores, 0.0),
        areas=table(areas[1:], 0),
        count=ops.max(ids),
    )
