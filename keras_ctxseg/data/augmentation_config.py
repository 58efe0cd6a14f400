"""The settings of the training pipeline's augmentation. Needs the standard library only."""

import dataclasses

MIN_SIZE = 33


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """What happens to a training example, in this order.

    Args:
        crop_size: height and width of what the network sees, in pixels; 33 at least.
        image_scale: first, every image and mask is scaled by this factor (0.5: half size). Use
            the same factor in `evaluation_examples`.
        scale_range: then by a random factor, uniform between these two.
        flip: mirror left and right in half of the examples.
        brightness: multiply by a random factor in `1 - brightness ... 1 + brightness`.
        contrast: likewise, the distance from the image's mean.
        saturation: likewise, the distance from each pixel's grey.
        hue: turn the hue by up to this share of the colour circle, 0 to 0.5.
        pad_value: RGB in 0 ... 255 around images that are smaller than the crop (their labels: the
            ignore label). ImageNet's mean, which the backbones' normalisation turns into zero.

    Raises:
        ValueError: a setting outside these limits.
    """

    crop_size: tuple[int, int]
    image_scale: float = 1.0
    scale_range: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pad_value: tuple[float, float, float] = (123.675, 116.28, 103.53)

    def __post_init__(self):
        if len(self.crop_size) != 2 or min(self.crop_size) < MIN_SIZE:
            self._refuse("crop_size", f"a height and a width of at least {MIN_SIZE} pixels")
        if not 0 < self.image_scale <= 4:
            self._refuse("image_scale", "a factor above 0, at most 4")
        low, high = self.scale_range if len(self.scale_range) == 2 else (0, 0)
        if not 0 < low <= high <= 16:
            self._refuse("scale_range", "two factors above 0, the smaller one first")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                self._refuse(name, "a strength in 0 ... 1")
        if not 0 <= self.hue <= 0.5:
            self._refuse("hue", "a share of the colour circle in 0 ... 0.5")
        if len(self.pad_value) != 3 or not all(0 <= value <= 255 for value in self.pad_value):
            self._refuse("pad_value", "red, green and blue in 0 ... 255")

    def _refuse(self, name: str, expected: str):
        received = getattr(self, name)
        raise ValueError(f"Augmentation `{name}`: expected {expected}. Received: {name}={received}")
