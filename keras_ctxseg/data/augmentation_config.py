"""The settings of the training pipeline's augmentation. Needs neither Keras nor TensorFlow.

`AugmentationConfig` is also the section `augmentation` of a recipe.
"""

import dataclasses
from typing import Annotated

from keras_ctxseg._limits import Limit, Probability, between, check_limits, require, sides
from keras_ctxseg._named import Named
from keras_ctxseg._naming import nearest

MIN_SIZE = 33
RAND_AUGMENT_OPERATIONS = (
    "autocontrast", "brightness", "color", "contrast", "equalize", "identity", "posterize",
    "rotate", "sharpness", "shear_x", "shear_y", "solarize", "translate_x", "translate_y",
)  # fmt: skip


OPERATIONS = Limit("one at least", lambda names: len(names) > 0)
SHARES = Limit(
    "two shares between 0 and 1, the smaller one first", lambda pair: 0 < pair[0] <= pair[1] < 1
)
SCALE_RANGE = Limit(
    "two factors above 0, the smaller one first", lambda pair: 0 < pair[0] <= pair[1] <= 16
)
RGB = Limit(
    "red, green and blue in 0 ... 255",
    lambda colour: len(colour) == 3 and all(0 <= value <= 255 for value in colour),
)
SHARE = Limit("a share above 0, at most 1", lambda value: 0 < value <= 1)
Strength = Annotated[float, between(0, 1, "a strength in 0 ... 1")]


@dataclasses.dataclass(frozen=True)
class RandAugmentConfig:
    """RandAugment (arXiv 1909.13719): a few operations, drawn for each example.

    Args:
        count: how many, one after the other; 0 is off.
        magnitude: strength of each, 0 to 10. The paper has 9 and more for classification; there,
            colours may turn black or white, and what a label shows is no longer seen.
        operations: to draw from, each as likely; the paper's fourteen.
    """

    count: Annotated[int, between(0, 8)] = 0
    magnitude: Annotated[float, between(0, 10)] = 5.0
    operations: Annotated[tuple[str, ...], OPERATIONS] = RAND_AUGMENT_OPERATIONS

    def __post_init__(self):
        check_limits(self, "augmentation.rand_augment")
        for name in self.operations:
            if name not in RAND_AUGMENT_OPERATIONS:
                raise ValueError(
                    "`augmentation.rand_augment.operations`: expected some of "
                    f"{', '.join(RAND_AUGMENT_OPERATIONS)}. Received: {name!r}."
                    f"{nearest(name, RAND_AUGMENT_OPERATIONS)}"
                )


@dataclasses.dataclass(frozen=True)
class MosaicConfig:
    """Mosaic (YOLOv4, arXiv 2004.10934): four examples in the four corners of one crop.

    Args:
        probability: share of the examples that become one; 0 is off.
        center_range: where the corners meet, uniform between these shares of height and width.
    """

    probability: Probability = 0.0
    center_range: Annotated[tuple[float, float], SHARES] = (0.25, 0.75)

    def __post_init__(self):
        check_limits(self, "augmentation.mosaic")


@dataclasses.dataclass(frozen=True)
class CopyPasteConfig:
    """Copy-paste (arXiv 2012.07177), by class: pixels of another example that show some classes.

    Args:
        probability: share of the examples that are pasted onto; 0 is off.
        classes: names of the classes that are pasted.
    """

    probability: Probability = 0.0
    classes: tuple[str, ...] = ()

    def __post_init__(self):
        check_limits(self, "augmentation.copy_paste")
        require(not self.probability or len(self.classes) > 0, "augmentation.copy_paste.classes",
                "the names of the classes to paste", list(self.classes))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ClassMixConfig:
    """ClassMix (arXiv 2007.07936): half of the classes of another example, pasted onto this one.

    Args:
        probability: share of the examples that are pasted onto; 0 is off.
    """

    probability: Probability = 0.0

    def __post_init__(self):
        check_limits(self, "augmentation.class_mix")


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

    crop_size: Annotated[tuple[int, int], sides(MIN_SIZE)] = (513, 513)
    scale_range: Annotated[tuple[float, float], SCALE_RANGE] = (0.5, 2.0)
    flip: bool = True
    brightness: Strength = 0.0
    contrast: Strength = 0.0
    saturation: Strength = 0.0
    hue: Annotated[float, between(0, 0.5, "a share of the colour circle in 0 ... 0.5")] = 0.0
    pad_value: Annotated[tuple[float, float, float], RGB] = (123.675, 116.28, 103.53)
    cat_max_ratio: Annotated[float, SHARE] = 1.0
    rotation: Annotated[float, between(0, 180, "degrees in 0 ... 180")] = 0.0
    rand_augment: RandAugmentConfig = RandAugmentConfig()
    mosaic: MosaicConfig = MosaicConfig()
    copy_paste: CopyPasteConfig = CopyPasteConfig()
    class_mix: ClassMixConfig = ClassMixConfig()
    custom: tuple[Named, ...] = ()

    def __post_init__(self):
        check_limits(self, "augmentation")

    @property
    def mixes(self) -> bool:
        """Whether pixels of several examples may come together in one."""
        return any((self.mosaic.probability, self.copy_paste.probability,
                    self.class_mix.probability))  # fmt: skip
