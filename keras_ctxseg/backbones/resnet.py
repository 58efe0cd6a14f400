"""Residual networks (arXiv 1512.03385), dilated for segmentation (DeepLabv3, arXiv 1706.05587)."""

import functools
from collections.abc import Callable, Mapping

from keras import layers

from keras_ctxseg.backbones.backbone import Backbone, StagePlan
from keras_ctxseg.layers import ConvNormAct

_BLOCKS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
_STEMS = {"7x7": (64,), "deep": (64, 64, 128), "v1c": (32, 32, 64)}
_EXPANSION = {"basic": 1, "bottleneck": 4}


class ResNet(Backbone):
    """ResNet-18, 34, 50, 101 or 152.

    Args:
        depth: 18, 34, 50, 101 or 152.
        output_stride: 8, 16 or 32.
        stem: `"7x7"` (the paper's), `"deep"` (three 3×3, 64-64-128) or `"v1c"` (three 3×3,
            32-32-64).
        multi_grid: Factors on the dilation of the last stage's blocks, for example (1, 2, 4)
            (DeepLabv3, section 4.1), or `None`.
        half_dilation: Whether the first block of a dilated stage keeps the rate before it. `False`
            is how tf-models dilates; then features at different output strides no longer agree.
        stride_in_1x1: Whether a bottleneck strides in its first 1×1 convolution (the paper's, and
            keras.applications') instead of the 3×3 one (everybody's since).
        padding: Of strided convolutions and the pool, `"symmetric"` (PyTorch's) or `"same"`
            (TensorFlow's, as tf-models has it).
        normalization: What the images are brought to: `"imagenet"`, `"centred"`, `"caffe"` or
            `{"mean": ..., "std": ...}`.
        activation: `"relu"`, or `"swish"`, as tf-models trained its DeepLabs; that one needs
            `padding="same"`.
    """

    def __init__(
        self,
        depth: int,
        output_stride: int = 32,
        *,
        stem: str = "7x7",
        multi_grid: tuple[int, ...] | None = None,
        half_dilation: bool = True,
        stride_in_1x1: bool = False,
        padding: str = "symmetric",
        normalization: str | Mapping = "imagenet",
        activation: str = "relu",
    ):
        if depth not in _BLOCKS:
            raise ValueError(f"`depth` must be one of {list(_BLOCKS)}. Received: depth={depth}")
        if stem not in _STEMS:
            raise ValueError(f"`stem` must be one of {list(_STEMS)}. Received: stem={stem!r}")
        self.block, self.repeats = _BLOCKS[depth]
        if multi_grid is not None and len(multi_grid) != self.repeats[-1]:
            raise ValueError(
                f"`multi_grid` must have one factor for each of the {self.repeats[-1]} blocks of "
                f"the last stage. Received: multi_grid={multi_grid}"
            )
        self.stem_filters = _STEMS[stem]
        self.multi_grid = multi_grid
        self.half_dilation = half_dilation
        if stride_in_1x1 and self.block == "basic":
            raise ValueError(
                f"`stride_in_1x1` needs bottlenecks, which resnet{depth} has not. "
                "Received: stride_in_1x1=True"
            )
        self.stride_in_1x1 = stride_in_1x1
        if activation != "relu" and (activation != "swish" or padding != "same"):
            # The symmetric pool pads by 0, which is the smallest value after ReLU only.
            raise ValueError(
                "`activation` must be 'relu', or 'swish' with padding='same'. "
                f"Received: activation={activation!r}, padding={padding!r}"
            )
        self.activation = activation
        expansion = _EXPANSION[self.block]
        super().__init__(
            output_stride,
            {1: self.stem_filters[-1]}
            | {level: 64 * 2 ** (level - 2) * expansion for level in (2, 3, 4, 5)},
            normalization,
            padding,
        )

    def stem(self, x):
        kernel_size = 7 if len(self.stem_filters) == 1 else 3
        for index, filters in enumerate(self.stem_filters, start=1):
            strides = 2 if index == 1 else 1
            x = self._conv(x, filters, kernel_size, f"backbone_stem_conv{index}", strides)
        return x

    def _stage(self, x, level: int, plan: StagePlan):
        if level == 2:
            x = self._pool(x, plan.stride)
            plan = StagePlan(1, 1, 1)
        block = {"basic": self._basic, "bottleneck": self._bottleneck}[self.block]
        repeats = self.repeats[level - 2]
        factors = self.multi_grid if level == 5 and self.multi_grid else (1,) * repeats
        filters, expansion = 64 * 2 ** (level - 2), _EXPANSION[self.block]
        for index, factor in enumerate(factors):
            first = index == 0
            # A 1×1 convolution that strides leaves nothing before it to keep the old rate.
            keeps_rate = first and self.half_dilation and not self.stride_in_1x1
            entry = plan.entry_dilation if keeps_rate else plan.dilation
            x = block(
                x,
                filters,
                strides=plan.stride if first else 1,
                entry_dilation=entry * factor,
                dilation=plan.dilation * factor,
                project=first and (level > 2 or x.shape[-1] != filters * expansion),
                name=f"backbone_stage{level}_block{index + 1}",
            )
        return x

    def _bottleneck(self, x, filters, strides, entry_dilation, dilation, project, name):
        stride1, stride2 = (strides, 1) if self.stride_in_1x1 else (1, strides)
        y = self._conv(x, filters, 1, f"{name}_conv1", stride1)
        y = self._conv(y, filters, 3, f"{name}_conv2", stride2, entry_dilation)
        y = self._conv(y, 4 * filters, 1, f"{name}_conv3", activate=False)
        if project:
            x = self._conv(x, 4 * filters, 1, f"{name}_shortcut", strides, activate=False)
        return self._join(x, y, name)

    def _basic(self, x, filters, strides, entry_dilation, dilation, project, name):
        y = self._conv(x, filters, 3, f"{name}_conv1", strides, entry_dilation)
        y = self._conv(y, filters, 3, f"{name}_conv2", 1, dilation, activate=False)
        if project:
            x = self._conv(x, filters, 1, f"{name}_shortcut", strides, activate=False)
        return self._join(x, y, name)

    def _join(self, x, y, name):
        x = layers.Add(name=f"{name}_add")([x, y])
        if self.activation == "relu":
            return layers.ReLU(name=f"{name}_relu")(x)
        return layers.Activation(self.activation, name=f"{name}_{self.activation}")(x)

    def _pool(self, x, strides: int):
        if self.padding == "same":
            return layers.MaxPooling2D(3, strides, padding="same", name="backbone_pool")(x)
        # Features are not negative after ReLU, so padding by zero never wins the maximum.
        x = layers.ZeroPadding2D(1, name="backbone_pool_pad")(x)
        return layers.MaxPooling2D(3, strides, name="backbone_pool")(x)

    def _conv(self, x, filters, kernel_size, name, strides=1, dilation=1, activate=True):
        layer = ConvNormAct(
            filters,
            kernel_size,
            strides=strides,
            dilation=dilation if kernel_size > 1 else 1,
            padding=self.padding,
            activation=self.activation if activate else None,
            epsilon=1e-5,
            name=name,
        )
        return layer(x)


def resnet_of_depth(depth: int) -> Callable[..., ResNet]:
    """Makes the entry of the registry for one depth."""
    return functools.partial(ResNet, depth)
