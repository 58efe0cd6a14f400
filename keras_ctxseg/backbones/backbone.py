"""What every backbone offers to what stands on it."""

import abc
import dataclasses
from collections.abc import Callable, Mapping

import keras

from keras_ctxseg.layers import NormalizeImages
from keras_ctxseg.layers.normalize_images import Statistics, read_normalization

OUTPUT_STRIDES = (8, 16, 32)


@dataclasses.dataclass(frozen=True)
class FeatureInfo:
    """One feature map that a backbone puts out (after timm's `FeatureInfo`).

    Attributes:
        level: `log2` of the reduction that the stage has at output stride 32; 1 is the stem's.
        channels: Its channels.
        reduction: Input pixels per feature pixel, on each axis, at the backbone's output stride.
    """

    level: int
    channels: int
    reduction: int


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """How one stage keeps to the output stride.

    Attributes:
        stride: Of the convolution that subsamples; 1 where the stage dilates instead.
        entry_dilation: Rate up to and including that convolution: that of the stage before.
        dilation: Rate of everything after it.
    """

    stride: int
    entry_dilation: int
    dilation: int


def plan_stages(output_stride: int) -> dict[int, StagePlan]:
    """Plans the stages of levels 2 to 5 for an output stride.

    A stage that may not subsample dilates by 2 whatever follows its subsampling convolution. That
    convolution itself keeps the rate before it (deeplab2's and EncNet's "half dilation in the first
    block"), which is what makes the same weights agree at every output stride.

    Raises:
        ValueError: If `output_stride` is none of 8, 16 and 32.
    """
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(
            f"`output_stride` must be one of {OUTPUT_STRIDES}. "
            f"Received: output_stride={output_stride}"
        )
    plans, dilation = {}, 1
    for level in (2, 3, 4, 5):
        stride = 2 if 2**level <= output_stride else 1
        entry_dilation, dilation = dilation, dilation if stride == 2 else dilation * 2
        plans[level] = StagePlan(stride, entry_dilation, dilation)
    return plans


class Backbone(abc.ABC):
    """A feature extractor, taken whole or stage by stage.

    Whole: `features = backbone(images)` gives `{level: feature map}`. By stages, for a branch that
    exchanges with the backbone on the way:

        x = backbone.stem(backbone.normalize(images))
        for level, stage in backbone.stages.items():
            x = stage(x)

    Both work on symbolic Keras tensors; the layers they add are named `backbone_...`. A backbone is
    a recipe and holds no weights, so each call adds new layers.

    Attributes:
        output_stride: Reduction of the last feature map: 8, 16 or 32. It changes dilation, never
            weights.
        features: One `FeatureInfo` a level, from fine to coarse.
        stages: `{level: function}` for levels 2 to 5, in order; a function takes and gives one
            tensor. Empty where a backbone is no such sequence.
        no_stages: Why `stages` is empty, or `""`.
        mean, std: Of the normalisation, a number a channel on the 0...255 scale.
        padding: Of strided convolutions, `"symmetric"` or `"same"`; see `ConvNormAct`.
    """

    mean: Statistics
    std: Statistics
    no_stages = ""
    _measured = False

    def __init__(
        self,
        output_stride: int,
        channels: dict[int, int],
        normalization: str | Mapping | None = None,
        padding: str = "symmetric",
    ):
        if normalization is not None:
            self.read_normalization(normalization)
        if padding not in ("symmetric", "same"):
            raise ValueError(
                f"`padding` must be 'symmetric' or 'same'. Received: padding={padding!r}"
            )
        self.padding = padding
        self.output_stride = output_stride
        self.plans = plan_stages(output_stride)
        self.features = tuple(
            FeatureInfo(level, count, min(2**level, output_stride))
            for level, count in channels.items()
        )
        self.stages: dict[int, Callable] = {
            level: self._stage_function(level) for level in self.plans
        }

    def read_normalization(self, normalization: str | Mapping) -> None:
        """Sets `mean` and `std`.

        Args:
            normalization: A name, for RGB, which `normalize` adapts to other channels; or
                `{"mean": ..., "std": ...}` for the images at hand.
        """
        self.mean, self.std = read_normalization(normalization)
        self._measured = isinstance(normalization, Mapping)

    def _stage_function(self, level: int) -> Callable:
        return lambda x: self._stage(x, level, self.plans[level])

    # One stage, `_stage(x, level, plan)`, of the backbones that have them.
    _stage: Callable

    @abc.abstractmethod
    def stem(self, x):
        """Takes normalised images to the level-1 feature map, at half their size."""

    def normalize(self, images):
        """Takes images, RGB in 0...255, to what the stem expects.

        Images of other channels get the mean over the colours of mean and deviation in each, unless
        `normalization` gave numbers.
        """
        channels = images.shape[-1]
        mean, std = (self._for_channels(values, channels) for values in (self.mean, self.std))
        return NormalizeImages(mean, std, name="normalize")(images)

    def _for_channels(self, values: Statistics, channels: int) -> Statistics:
        if len(values) == channels:
            return values
        if len(values) > 1 and self._measured:
            raise ValueError(
                f"`normalization` must have one number, or one for each of the {channels} channels "
                f"of the images. Received: {values}"
            )
        return (sum(values) / len(values),) * channels

    def __call__(self, images) -> dict:
        """Takes images `(batch, height, width, channels)` to `{level: feature map}`.

        RGB images are in 0...255.
        """
        x = self.stem(self.normalize(images))
        features = {1: x}
        for level, stage in self.stages.items():
            x = features[level] = stage(x)
        return features

    def load_imagenet(self, model: keras.Model) -> str | None:
        """Sets the backbone's weights in a model to published ImageNet ones.

        Args:
            model: Built on a backbone like this one.

        Returns:
            What was loaded, in a few words; `None` where the backbone itself knows of none, and
            `keras_ctxseg.convert` is asked.
        """
        return None

    def channels(self, level: int) -> int:
        """Returns the channels of a level's feature map."""
        return next(info.channels for info in self.features if info.level == level)

    def as_model(self, input_shape=(None, None, 3)) -> keras.Model:
        """Builds a `keras.Model` from images to `{"level1": ..., "level5": ...}`."""
        images = keras.Input(input_shape, name="images")
        outputs = {f"level{level}": x for level, x in self(images).items()}
        return keras.Model(images, outputs)
