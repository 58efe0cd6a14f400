"""How centres, offsets and classes become segments; Panoptic-DeepLab's values."""

from dataclasses import dataclass
from typing import Annotated

from keras_ctxseg._limits import Limit, between, check_limits


@dataclass(frozen=True)
class GroupingOptions:
    """What grouping and merging look at.

    Args:
        threshold: centres are peaks of the heat map above this.
        window: a peak is the largest value in a square of so many pixels a side; odd.
        max_instances: so many highest peaks are centres.
        min_stuff_area: stuff classes with fewer pixels in an image become void; 0 keeps all.
            detectron2's Panoptic-DeepLab has 2048 for Cityscapes and 4096 for COCO.

    Raises:
        ValueError: a value outside these limits.
    """

    threshold: Annotated[float, Limit("a number of at least 0", lambda value: value >= 0)] = 0.1
    window: Annotated[int, Limit("an odd number of pixels", lambda side: side > 0 and side % 2)] = 7
    max_instances: Annotated[int, between(1, 4095)] = 200
    min_stuff_area: Annotated[int, Limit("at least 0 pixels", lambda area: area >= 0)] = 0

    def __post_init__(self):
        check_limits(self, "panoptic")
