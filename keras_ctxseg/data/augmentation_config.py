"""The settings of the training pipeline's augmentation. Needs neither Keras nor TensorFlow.

`AugmentationConfig` is also the section `augmentation` of a recipe.
"""

import dataclasses
from typing import Any

from keras_ctxseg._named import Named
from keras_ctxseg._naming import nearest

MIN_SIZE = 33
RAND_AUGMENT_OPERATIONS = (
    "autocontrast", "brightness", "color", "contrast", "equalize", "identity", "posterize",
    "rotate", "sharpness", "shear_x", "shear_y", "solarize", "translate_x", "translate_y",
)  # fmt: skip


def _require_probability(section: str, value: float) -> None:
    _require(0 <= value <= 1, f"{section}.probability", "a probability in 0 ... 1", value)


def _require(condition: bool, name: str, expected: str, value: Any) -> None:
    if not condition:
        raise ValueError(
            f"Augmentation `{name}`: expected {expected}. Received: {name.split('.')[-1]}={value}"
        )


@dataclasses.dataclass(frozen=True)
class RandAugmentConfig:
    """RandAugment (arXiv 1909.13719): a few operations, drawn for each example.

    Args:
        count: how many, one after the other; 0 is off.
        magnitude: strength of each, 0 to 10. The paper has 9 and more for classification; there,
            colours may turn black or white, and what a label shows is no longer seen.
        operations: to draw from, each as likely; the paper's fourteen.
    """

    count: int = 0
    magnitude: float = 5.0
    operations: tuple[str, ...] = RAND_AUGMENT_OPERATIONS

    def __post_init__(self):
        _require(0 <= self.count <= 8, "rand_augment.count", "0 to 8", self.count)
        _require(0 <= self.magnitude <= 10, "rand_augment.magnitude", "0 to 10", self.magnitude)
        _require(len(self.operations) > 0, "rand_augment.operations", "one at least", [])
        for name in self.operations:
            hint = nearest(name, RAND_AUGMENT_OPERATIONS)
            expected = f"some of {', '.join(RAND_AUGMENT_OPERATIONS)}"
            if name not in RAND_AUGMENT_OPERATIONS:
                raise ValueError(
                    f"Augmentation `rand_augment.operations`: expected {expected}. "
                    f"Received: {name!r}.{hint}"
                )


@dataclasses.dataclass(frozen=True)
class MosaicConfig:
    """Mosaic (YOLOv4, arXiv 2004.10934): four examples in the four corners of one crop.

    Args:
        probability: share of the examples that become one; 0 is off.
        center_range: where the corners meet, uniform between these shares of height and width.
    """

    probability: float = 0.0
    center_range: tuple[float, float] = (0.25, 0.75)

    def __post_init__(self):
        _require_probability("mosaic", self.probability)
        low, high = self.center_range if len(self.center_range) == 2 else (0, 0)
        _require(
            0 < low <= high < 1, "mosaic.center_range", "two shares between 0 and 1, the smaller "
            "one first", self.center_range,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class CopyPasteConfig:
    """Copy-paste (arXiv 2012.07177), by class: pixels of another example that show some classes.

    Args:
        probability: share of the examples that are pasted onto; 0 is off.
        classes: names of the classes that are pasted.
    """

    probability: float = 0.0
    classes: tuple[str, ...] = ()

    def __post_init__(self):
        _require_probability("copy_paste", self.probability)
        _require(
            not self.probability or len(self.classes) > 0,
            "copy_paste.classes", "the names of the classes to paste", list(self.classes),
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ClassMixConfig:
    """ClassMix (arXiv 2007.07936): half of the classes of another example, pasted onto this one.

    Args:
        probability: share of the examples that are pasted onto; 0 is off.
    """

    probability: float = 0.0

    def __post_init__(self):
        _require_probability("class_mix", self.probability)


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """What happens to a training example, in this order. docs/augmentation.md shows it.

    Args:
        crop_size: height and width of what the network sees, in pixels; 33 at least.
        scale_range: size changes by a random factor, uniform between these two.
        cat_max_ratio: a crop whose commonest class has this share of the labelled pixels or more
            is drawn again, up to ten times, then taken as it is; 1 is off. 0.75 is usual.
        flip: mirror left and right in half of the examples.
        rotation: turn by up to this many degrees, either way.
        rand_augment, mosaic, copy_paste, class_mix: see there; off unless given. The last three
            put several examples together, each scaled, cropped, flipped and turned by itself
            (what is pasted is not turned); colours change last, together.
        brightness: multiply by a random factor in `1 - brightness ... 1 + brightness`.
        contrast: likewise, the distance from the image's mean.
        saturation: likewise, the distance from each pixel's grey.
        hue: turn the hue by up to this share of the colour circle, 0 to 0.5.
        custom: functions of your own, by dotted name; see `keras_ctxseg.data.augmentations.custom`.
            They come after everything else, in their order, on the crop.
        pad_value: RGB in 0 ... 255 wherever there is no image (there, labels are the ignore
            label). ImageNet's mean, which the backbones' normalisation turns into zero.

    Raises:
        ValueError: a setting outside these limits.
    """

    crop_size: tuple[int, int] = (513, 513)
    scale_range: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pad_value: tuple[float, float, float] = (123.675, 116.28, 103.53)
    cat_max_ratio: float = 1.0
    rotation: float = 0.0
    rand_augment: RandAugmentConfig = RandAugmentConfig()
    mosaic: MosaicConfig = MosaicConfig()
    copy_paste: CopyPasteConfig = CopyPasteConfig()
    class_mix: ClassMixConfig = ClassMixConfig()
    custom: tuple[Named, ...] = ()

    def __post_init__(self):
        def require(condition: bool, name: str, expected: str):
            _require(condition, name, expected, getattr(self, name))

        require(
            len(self.crop_size) == 2 and min(self.crop_size) >= MIN_SIZE,
            "crop_size", f"a height and a width of at least {MIN_SIZE} pixels",
        )  # fmt: skip
        low, high = self.scale_range if len(self.scale_range) == 2 else (0, 0)
        require(0 < low <= high <= 16, "scale_range", "two factors above 0, the smaller one first")
        for name in ("brightness", "contrast", "saturation"):
            require(0 <= getattr(self, name) <= 1, name, "a strength in 0 ... 1")
        require(0 <= self.hue <= 0.5, "hue", "a share of the colour circle in 0 ... 0.5")
        require(
            len(self.pad_value) == 3 and all(0 <= value <= 255 for value in self.pad_value),
            "pad_value", "red, green and blue in 0 ... 255",
        )  # fmt: skip
        require(0 < self.cat_max_ratio <= 1, "cat_max_ratio", "a share above 0, at most 1")
        require(0 <= self.rotation <= 180, "rotation", "degrees in 0 ... 180")

    @property
    def mixes(self) -> bool:
        """Whether pixels of several examples may come together in one."""
        return any((self.mosaic.probability, self.copy_paste.probability,
                    self.class_mix.probability))  # fmt: skip
