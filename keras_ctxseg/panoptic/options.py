"""How centres, offsets and classes become segments; Panoptic-DeepLab's values."""

from dataclasses import dataclass


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

    threshold: float = 0.1
    window: int = 7
    max_instances: int = 200
    min_stuff_area: int = 0

    def __post_init__(self):
        def require(condition: bool, name: str, expected: str):
            if not condition:
                value = getattr(self, name)
                raise ValueError(
                    f"Grouping `{name}`: expected {expected}. Received: {name}={value}"
                )

        require(self.threshold >= 0, "threshold", "a number of at least 0")
        require(self.window >= 1 and self.window % 2 == 1, "window", "an odd number of pixels")
        require(1 <= self.max_instances <= 4095, "max_instances", "1 to 4095")
        require(self.min_stuff_area >= 0, "min_stuff_area", "at least 0 pixels")
