"""MobileNetV2 (arXiv 1801.04381), dilated for segmentation as in its section 6.3."""

from collections.abc import Mapping

from keras import layers

from keras_ctxseg.backbones.backbone import Backbone, StagePlan
from keras_ctxseg.layers import ConvNormAct, DepthwiseConvNormAct

# Level: (expansion, filters, repeats) of table 2, grouped by resolution. The first block of a level
# subsamples; the paper's last 1×1 convolution to 1280 channels serves classification only.
_GROUPS = {
    1: ((1, 16, 1),),
    2: ((6, 24, 2),),
    3: ((6, 32, 3),),
    4: ((6, 64, 4), (6, 96, 3)),
    5: ((6, 160, 3), (6, 320, 1)),
}


def _scale(filters: int, width: float) -> int:
    """Scales a number of channels, rounded to a multiple of 8 and by at most 10 % down."""
    scaled = max(8, int(filters * width + 4) // 8 * 8)
    return scaled if scaled >= 0.9 * filters * width else scaled + 8


class MobileNetV2(Backbone):
    """Inverted residuals with linear bottlenecks.

    Args:
        output_stride: 8, 16 or 32.
        width: Multiplier of all channels.
        context_free_from: Level from which the 3×3 kernels collapse to the target pixel (atrous
            rate 0), or `None`. As many parameters, no further receptive field: the control for what
            context brings. From level 2 on, features see 7×7 pixels. (Ours.)
        padding: Of strided convolutions, `"symmetric"` (PyTorch's) or `"same"` (TensorFlow's, as
            keras.applications has it).
        normalization: What the images are brought to: `"centred"`, `"imagenet"`, `"caffe"` or
            `{"mean": ..., "std": ...}`.
    """

    def __init__(
        self,
        output_stride: int = 32,
        *,
        width: float = 1.0,
        context_free_from: int | None = None,
        padding: str = "symmetric",
        normalization: str | Mapping = "centred",
    ):
        if width <= 0:
            raise ValueError(f"`width` must be positive. Received: width={width}")
        self.width = width
        self.context_free_from = context_free_from
        super().__init__(
            output_stride,
            {level: _scale(groups[-1][1], width) for level, groups in _GROUPS.items()},
            normalization,
            padding,
        )

    def stem(self, x):
        x = ConvNormAct(
            _scale(32, self.width),
            3,
            strides=2,
            padding=self.padding,
            activation="relu6",
            name="backbone_stem_conv",
        )(x)
        return self._stage(x, 1, StagePlan(1, 1, 1))

    def _stage(self, x, level: int, plan: StagePlan):
        context_free = self.context_free_from is not None and level >= self.context_free_from
        number = 0
        for expansion, filters, repeats in _GROUPS[level]:
            for _ in range(repeats):
                dilation = plan.entry_dilation if number == 0 else plan.dilation
                x = self._inverted_residual(
                    x,
                    expansion,
                    _scale(filters, self.width),
                    strides=plan.stride if number == 0 else 1,
                    dilation=0 if context_free else dilation,
                    name=f"backbone_stage{level}_block{number + 1}",
                )
                number += 1
        return x

    def _inverted_residual(self, x, expansion, filters, strides, dilation, name):
        channels = x.shape[-1]
        y = x
        if expansion > 1:
            y = ConvNormAct(channels * expansion, activation="relu6", name=f"{name}_expand")(y)
        y = DepthwiseConvNormAct(
            strides=strides,
            dilation=dilation,
            padding=self.padding,
            activation="relu6",
            name=f"{name}_depthwise",
        )(y)
        y = ConvNormAct(filters, activation=None, name=f"{name}_project")(y)
        if strides == 1 and channels == filters:
            y = layers.Add(name=f"{name}_add")([x, y])
        return y
