"""What every backbone offers to what stands on it."""

import abc
import dataclasses
from collections.abc import Callable

import keras

from keras_ctxseg._naming import nearest
from keras_ctxseg.layers import NormalizeImages
from keras_ctxseg.layers.normalize_images import NORMALIZATIONS

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
            tensor.
        mean, std: Of the normalisation, three numbers each on the 0...255 scale.
        padding: Of strided convolutions, `"symmetric"` or `"same"`; see `ConvNormAct`.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __init__(
        self,
        output_stride: int,
        channels: dict[int, int],
        normalization: str | None = None,
        padding: str = "symmetric",
    ):
        if normalization is not None:
            if normalization not in NORMALIZATIONS:
                raise ValueError(
                    f"`normalization` must be one of {list(NORMALIZATIONS)}. "
                    f"Received: normalization={normalization!r}."
                    + nearest(normalization, NORMALIZATIONS)
                )
            self.mean, self.std = NORMALIZATIONS[normalization]
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

    def _stage_function(self, level: int) -> Callable:
        return lambda x: self._stage(x, level, self.plans[level])

    # One stage, `_stage(x, level, plan)`, of the backbones that have them.
    _stage: Callable

    @abc.abstractmethod
    def stem(self, x):
        """Takes normalised images to the level-1 feature map, at half their size."""

    def normalize(self, images):
        """Takes RGB images in 0...255 to what the stem expects."""
        return NormalizeImages(self.mean, self.std, name="normalize")(images)

    def __call__(self, images) -> dict:
        """Takes images `(batch, height, width, 3)`, RGB in 0...255, to `{level: feature map}`."""
        x = self.stem(self.normalize(images))
        features = {1: x}
        for level, stage in self.stages.items():
            x = features[level] = stage(x)
        return features

    def channels(self, level: int) -> int:
        """Returns the channels of a level's feature map."""
        return next(info.channels for info in self.features if info.level == level)

    def as_model(self, input_shape=(None, None, 3)) -> keras.Model:
        """Builds a `keras.Model` from images to `{"level1": ..., "level5": ...}`."""
        images = keras.Input(input_shape, name="images")
        outputs = {f"level{level}": x for level, x in self(images).items()}
        return keras.Model(images, outputs)
