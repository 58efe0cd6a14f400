"""SpaM: spatial context memoization beside a backbone (SpaceMeshLab, arXiv 2106.04025)."""

from typing import Any

import keras
from keras import ops

from keras_ctxseg.layers.batch_norm import BatchNorm
from keras_ctxseg.layers.conv_norm_act import ConvNormAct
from keras_ctxseg.layers.resize import ResizeLike

_STRIDES = (1, 2, 4)
_DOWN = ("space_to_depth", "strided_conv", "average_pooling")


@keras.saving.register_keras_serializable("keras_ctxseg")
class SpaMBranch(keras.layers.Layer):
    """A bypass that keeps the image's resolution and exchanges with the backbone at every stage.

    The layer itself is the branch's stem, S_0. After each stage, `exchange` puts the next layer on
    both maps (see `SpaMExchange`):

        branch = SpaMBranch(channels=16, stride=1)
        memory = branch(images)
        for info, stage in ...:
            memory, x = branch.exchange(memory, stage(x), info.reduction)

    The paper states the bypass, that it retains the input's spatial dimension, and the constant
    exchange both ways: spatial context to the backbone, semantics to the branch. Widths, strides
    other than 1 and the operations are ours.

    Args:
        channels: Of the branch.
        stride: Image pixels per pixel of the branch, 1, 2 or 4; 2 and 4 trade detail for memory.
            The stem is one 3×3 conv-norm-act for each halving, and one at stride 1.
        down: How the branch's map gets to the backbone's resolution; see `SpaMExchange`.
        block: Image pixels a side that it folds at most; see `SpaMExchange`.

    Call arguments:
        images: `(batch, height, width, channels)`, normalised.

    Call returns:
        `(batch, ceil(height / stride), ceil(width / stride), channels)`.

    Examples:
        >>> images = keras.Input((None, None, 3))
        >>> branch = SpaMBranch()
        >>> memory = branch(images)
        >>> features = keras.layers.Conv2D(32, 4, strides=4, padding="same")(images)
        >>> memory, features = branch.exchange(memory, features, reduction=4)
        >>> memory.shape, features.shape
        ((None, None, None, 16), (None, None, None, 32))
    """

    def __init__(
        self,
        channels: int = 16,
        stride: int = 1,
        down: str = "space_to_depth",
        block: int = 8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if stride not in _STRIDES:
            raise ValueError(f"`stride` must be one of {_STRIDES}. Received: stride={stride}")
        _check_down(down)
        self.channels = channels
        self.stride = stride
        self.down = down
        self.block = block
        strides = {1: (1,), 2: (2,), 4: (2, 2)}[stride]
        self.convs = [
            ConvNormAct(channels, 3, strides=step, dtype=self.dtype_policy, name=f"conv{index}")
            for index, step in enumerate(strides, start=1)
        ]

    def exchange(
        self, memory: Any, features: Any, reduction: int, name: str | None = None
    ) -> tuple[Any, Any]:
        """Adds the exchange after one of the backbone's stages, a layer with weights of its own.

        Args:
            memory: The branch's map S_(s-1).
            features: The stage's output X_s.
            reduction: Image pixels per pixel of `features`.
            name: Of the new layer.

        Returns:
            `(S_s, X'_s)`, of the shapes of `memory` and `features`.
        """
        layer = SpaMExchange(
            self.channels,
            self.stride,
            reduction,
            self.down,
            self.block,
            dtype=self.dtype_policy,
            name=name,
        )
        return layer(memory, features)

    def build(self, input_shape):
        for conv in self.convs:
            conv.build(input_shape)
            input_shape = conv.compute_output_shape(input_shape)

    def call(self, inputs, training=None):
        x = inputs
        for conv in self.convs:
            x = conv(x, training=training)
        return x

    def compute_output_shape(self, input_shape):
        for conv in self.convs:
            input_shape = conv.compute_output_shape(input_shape)
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "stride": self.stride,
            "down": self.down,
            "block": self.block,
        }


@keras.saving.register_keras_serializable("keras_ctxseg")
class SpaMExchange(keras.layers.Layer):
    """What the SpaM branch and a backbone give each other after stage s (ours).

        S_s = φ(S_(s-1) + Up(P(X_s))),   X'_s = X_s + Q(Down(S_s))

    P: 1×1 conv-norm to `channels`. Up: bilinear. φ: 3×3 conv-norm-act. Q: 1×1 conv-norm to the
    backbone's channels whose gamma starts at 0, so that X'_s = X_s to the last bit before training
    and a pretrained backbone is left as it was.

    Down lays the block of pixels under a cell of `features` into channels, so that Q reads each of
    them (`"space_to_depth"`; Q of it is one convolution with kernel and stride of the block's
    size), or takes 3×3 conv-norm-acts of stride 2 (`"strided_conv"`) or the block's mean
    (`"average_pooling"`). Pixels outside the map are 0.

    A block has `min(reduction, block)` image pixels a side. Beyond `block`, Q reads the blocks at
    the cells' own corners and no others, as a strided 1×1 convolution does. So weights do not
    depend on the backbone's output stride, and features agree on the cells that two strides share.

    Args:
        channels: Of the branch.
        stride: Image pixels per pixel of the branch.
        reduction: Image pixels per pixel of the features, a multiple of `stride`.
        down: `"space_to_depth"`, `"strided_conv"` or `"average_pooling"`.
        block: Image pixels a side that Down folds at most. At output stride 16, 16 lets Q read
            every pixel, with four times the weights from level 4 on.

    Call arguments:
        memory: S_(s-1), `(batch, ceil(height / stride), ceil(width / stride), channels)`.
        features: X_s, `(batch, ceil(height / reduction), ceil(width / reduction), any)`.

    Call returns:
        `(S_s, X'_s)`, of the shapes of `memory` and `features`.
    """

    def __init__(
        self,
        channels: int,
        stride: int,
        reduction: int,
        down: str = "space_to_depth",
        block: int = 8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_down(down)
        side = min(reduction, block)
        if reduction % side or side % stride or (side // stride).bit_count() != 1:
            raise ValueError(
                "`reduction` must be a multiple of `block`, and `block` of `stride` by a power of "
                f"two. Received: reduction={reduction}, block={block}, stride={stride}"
            )
        self.channels = channels
        self.stride = stride
        self.reduction = reduction
        self.down = down
        self.block = block
        # In pixels of the branch.
        self._side = side // stride
        self._step = reduction // stride
        policy = {"dtype": self.dtype_policy}
        self.to_memory = ConvNormAct(channels, activation=None, name="to_memory", **policy)
        self.up = ResizeLike(name="up", **policy)
        self.remember = ConvNormAct(channels, 3, name="remember", **policy)
        halvings = self._side.bit_length() - 1 if down == "strided_conv" else 0
        self.halve = [
            ConvNormAct(channels, 3, strides=2, name=f"halve{index + 1}", **policy)
            for index in range(halvings)
        ]
        self.norm = BatchNorm(gamma_initializer="zeros", name="bn", **policy)

    def build(self, memory_shape, features_shape):
        self.to_memory.build(features_shape)
        self.remember.build(memory_shape)
        for conv in self.halve:
            conv.build((*memory_shape[:3], self.channels))
        folds = self.down == "space_to_depth"
        side = self._side if folds else 1
        self.from_memory = keras.layers.Conv2D(
            features_shape[-1],
            side,
            strides=self._step if folds else self._step // self._side,
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="from_memory",
        )
        self.from_memory.build((None, None, None, self.channels))
        self.norm.build(features_shape)

    def call(self, memory, features, training=None):
        semantics = self.up(self.to_memory(features, training=training), memory)
        memory = self.remember(memory + semantics, training=training)
        detail = self.norm(self.from_memory(self._fold(memory, training)), training=training)
        return memory, features + detail

    def _fold(self, x, training):
        """What Q's convolution reads: a map that it only has to step over."""
        for conv in self.halve:
            x = conv(x, training=training)
        if self.halve or self._side == 1:
            return x
        # With so much at the end, each cell has a whole block, whatever the size at run time.
        paddings = [
            (0, 0 if size is not None and size % self._side == 0 else self._side - 1)
            for size in x.shape[1:3]
        ]
        if any(end for _, end in paddings):
            x = ops.pad(x, ((0, 0), *paddings, (0, 0)))
        if self.down == "average_pooling":
            x = ops.average_pool(x, self._side, self._side, data_format="channels_last")
        return x

    def compute_output_shape(self, memory_shape, features_shape):
        return tuple(memory_shape), tuple(features_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "stride": self.stride,
            "reduction": self.reduction,
            "down": self.down,
            "block": self.block,
        }


def _check_down(down: str) -> None:
    if down not in _DOWN:
        raise ValueError(f"`down` must be one of {_DOWN}. Received: down={down!r}")
