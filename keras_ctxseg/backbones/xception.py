"""Aligned Xception-65 (DeepLabv3+, arXiv 1802.02611, section 3.2 and figure 4)."""

from collections.abc import Mapping

from keras import layers

from keras_ctxseg.backbones.backbone import Backbone, StagePlan
from keras_ctxseg.layers import ConvNormAct, DepthwiseConvNormAct


class Xception65(Backbone):
    """Xception with deeper middle flow, strided separable convolutions, and BN after each
    depthwise.

    The decoder's feature, level 2, is the first entry block's output, 128 channels (ours; DeepLab's
    release taps 256 channels inside the second block).

    Args:
        output_stride: 8, 16 or 32.
        middle_repeats: Blocks of the middle flow; 16 make Xception-65.
        normalization: What the images are brought to: `"centred"`, `"imagenet"`, `"caffe"` or
            `{"mean": ..., "std": ...}`.
    """

    def __init__(
        self,
        output_stride: int = 32,
        *,
        middle_repeats: int = 16,
        normalization: str | Mapping = "centred",
    ):
        self.middle_repeats = middle_repeats
        channels = {1: 64, 2: 128, 3: 256, 4: 728, 5: 2048}
        super().__init__(output_stride, channels, normalization)

    def stem(self, x):
        x = ConvNormAct(32, 3, strides=2, name="backbone_stem_conv1")(x)
        return ConvNormAct(64, 3, name="backbone_stem_conv2")(x)

    def _stage(self, x, level: int, plan: StagePlan):
        name = f"backbone_stage{level}"
        if level < 5:
            filters = {2: 128, 3: 256, 4: 728}[level]
            x = _block(x, (filters,) * 3, f"{name}_entry", "conv", plan.stride, plan.entry_dilation)
            if level == 4:
                for number in range(1, self.middle_repeats + 1):
                    block = f"{name}_middle{number}"
                    x = _block(x, (728,) * 3, block, "sum", 1, plan.dilation)
            return x
        x = _block(x, (728, 1024, 1024), f"{name}_exit1", "conv", plan.stride, plan.entry_dilation)
        for number, filters in enumerate((1536, 1536, 2048), start=1):
            x = _separable(
                x, filters, f"{name}_exit2_conv{number}", dilation=plan.dilation, activation="relu"
            )
        return x


def _block(x, filters, name, shortcut, strides, dilation):
    """Three separable convolutions, each after a ReLU, the last one strided, beside a shortcut."""
    y = x
    for number, count in enumerate(filters, start=1):
        y = layers.ReLU(name=f"{name}_relu{number}")(y)
        stride = strides if number == len(filters) else 1
        y = _separable(y, count, f"{name}_conv{number}", stride, dilation, activation=None)
    if shortcut == "conv":
        x = ConvNormAct(filters[-1], strides=strides, activation=None, name=f"{name}_shortcut")(x)
    return layers.Add(name=f"{name}_add")([x, y])


def _separable(x, filters, name, strides=1, dilation=1, activation=None):
    x = DepthwiseConvNormAct(
        strides=strides, dilation=dilation, activation=activation, name=f"{name}_depthwise"
    )(x)
    return ConvNormAct(filters, activation=activation, name=f"{name}_pointwise")(x)
