"""SpineNet (arXiv 1912.05027): a backbone whose resolution goes up and down, with atrous blocks."""

from collections.abc import Iterable, Mapping, Sequence

from keras import layers

from keras_ctxseg._naming import nearest
from keras_ctxseg.backbones.backbone import Backbone, FeatureInfo
from keras_ctxseg.backbones.block_tables import (
    EXPANSION,
    FILTERS,
    NUM_STEM_NODES,
    SCALES,
    BlockSpec,
    adopted_nodes,
    output_nodes,
    read_blocks,
    required_nodes,
)
from keras_ctxseg.layers import ConvNormAct, ResizeNearest

_STEM_BLOCK = BlockSpec(2, "bottleneck", (0, 1))


class SpineNet(Backbone):
    """A scale-permuted network: blocks of all levels in a searched order, each with two parents.

    With the default table it is the published parent, weight for weight: tf-models'
    `official.vision.modeling.backbones.spinenet.SpineNet` computes the same from the same weights,
    for images whose sizes are multiples of 128, which that one needs. Here any size will do: a
    coarser parent is repeated to the true size of the finer map, `ceil(size / 2^level)`, not by a
    fixed factor. Strided convolutions and pools pad as TensorFlow's "same", as the parent's do.

    It is no sequence of stages, so `stages` is empty; what others do stage by stage is done here by
    `nodes`. Only the nodes that an output depends on are built.

    Args:
        scale: `"s49s"`, `"s49"`, `"s96"`, `"s143"` or `"s190"`.
        min_level: Finest level put out.
        max_level: Coarsest level put out.
        blocks: The block table: a name, `BlockSpec`s, or rows of plain data (see `read_blocks`).
        width: Multiplier of the filters of blocks and outputs, beside the scale's (ours).
        activation: `"relu"`, or `"swish"` as the parent was also trained.
        normalization: What the images are brought to: `"imagenet"`, `"centred"`, `"caffe"` or
            `{"mean": ..., "std": ...}`.

    Attributes:
        output_stride: Reduction of the finest output, `2^min_level`.
        features: One `FeatureInfo` an output level, from fine to coarse.
        blocks: The block table, as `BlockSpec`s.

    Examples:
        >>> backbone = SpineNet("s49", min_level=3, max_level=5)
        >>> [(info.level, info.channels, info.reduction) for info in backbone.features]
        [(3, 256, 8), (4, 256, 16), (5, 256, 32)]
    """

    def __init__(
        self,
        scale: str = "s49",
        min_level: int = 3,
        max_level: int = 7,
        blocks: str | Iterable[BlockSpec | Sequence] = "parent",
        width: float = 1.0,
        activation: str = "relu",
        normalization: str | Mapping = "imagenet",
    ):
        self.read_normalization(normalization)
        if scale not in SCALES:
            raise ValueError(
                f"`scale` must be one of {list(SCALES)}. Received: scale={scale!r}."
                + nearest(scale, SCALES)
            )
        if activation not in ("relu", "swish"):
            raise ValueError(
                f"`activation` must be 'relu' or 'swish'. Received: activation={activation!r}"
            )
        if width <= 0:
            raise ValueError(f"`width` must be positive. Received: width={width}")
        self.scale = SCALES[scale]
        self.blocks = read_blocks(blocks)
        self.width = width
        self.activation = activation
        self._outputs = output_nodes(self.blocks)
        self.levels = tuple(range(min_level, max_level + 1))
        if not self.levels or not set(self.levels) <= set(self._outputs):
            raise ValueError(
                "`min_level` to `max_level` must be levels that `blocks` puts out: "
                f"{list(self._outputs)}. Received: min_level={min_level}, max_level={max_level}"
            )
        channels = max(1, int(self.scale.endpoint_filters * width))
        self.output_stride = 2**min_level
        self.features = tuple(FeatureInfo(level, channels, 2**level) for level in self.levels)
        self.stages = {}

    def stem(self, x):
        return self._conv(x, 64, 7, "backbone_stem_conv", strides=2)

    def nodes(self, images) -> dict:
        """Takes images to `{node: feature map}`.

        Nodes 0 and 1, the stem's blocks at stride 4, are there always; they are what a decoder may
        take its detail from.
        """
        normalized = self.normalize(images)
        x = self._pool(self.stem(normalized), "backbone_stem_pool")
        nodes = {}
        for node in range(NUM_STEM_NODES):
            x = nodes[node] = self._block_group(x, _STEM_BLOCK, f"backbone_node{node}")
        adopted = adopted_nodes(self.blocks)
        required = required_nodes(self.blocks, self.levels)
        for node, block in enumerate(self.blocks, start=NUM_STEM_NODES):
            if node not in required:
                continue
            name = f"backbone_node{node}"
            parents = [
                self._resample(
                    nodes[parent], self._spec(parent), block, normalized, f"{name}_from{parent}"
                )
                for parent in block.parents
            ]
            parents += [nodes[other] for other in adopted[node]]
            x = self._activate(layers.Add(name=f"{name}_add")(parents), f"{name}_{self.activation}")
            nodes[node] = self._block_group(x, block, name)
        return nodes

    def endpoints(self, nodes) -> dict:
        """Takes what `nodes` gives to `{level: feature map}`, all of one width."""
        return {
            info.level: self._conv(
                nodes[self._outputs[info.level]], info.channels, 1, f"backbone_p{info.level}"
            )
            for info in self.features
        }

    def __call__(self, images) -> dict:
        return self.endpoints(self.nodes(images))

    def _spec(self, node: int) -> BlockSpec:
        return _STEM_BLOCK if node < NUM_STEM_NODES else self.blocks[node - NUM_STEM_NODES]

    def _filters(self, level: int) -> int:
        return max(1, int(FILTERS[level] * self.scale.filter_scale * self.width))

    def _resample(self, x, source: BlockSpec, target: BlockSpec, images, name: str):
        """To the target's level and channels: 1×1, then down or up, then 1×1 (section 3.2)."""
        filters = max(1, int(self._filters(source.level) * self.scale.alpha))
        x = self._conv(x, filters, 1, f"{name}_reduce")
        if source.level < target.level:
            x = self._conv(x, filters, 3, f"{name}_down", strides=2)
            for step in range(1, target.level - source.level):
                x = self._pool(x, f"{name}_pool{step}")
        elif source.level > target.level:
            x = ResizeNearest(2**target.level, name=f"{name}_up")(x, images)
        channels = self._filters(target.level) * EXPANSION[target.type]
        return self._conv(x, channels, 1, f"{name}_expand", activate=False)

    def _block_group(self, x, spec: BlockSpec, name: str):
        block = {"bottleneck": self._bottleneck, "residual": self._residual}[spec.type]
        filters = self._filters(spec.level)
        for number in range(1, self.scale.repeats + 1):
            x = block(x, filters, spec.dilation, f"{name}_block{number}")
        return x

    def _bottleneck(self, x, filters: int, dilation: int, name: str):
        y = self._conv(x, filters, 1, f"{name}_conv1")
        y = self._conv(y, filters, 3, f"{name}_conv2", dilation=dilation)
        y = self._conv(y, 4 * filters, 1, f"{name}_conv3", activate=False)
        return self._join(x, y, name)

    def _residual(self, x, filters: int, dilation: int, name: str):
        y = self._conv(x, filters, 3, f"{name}_conv1", dilation=dilation)
        y = self._conv(y, filters, 3, f"{name}_conv2", dilation=dilation, activate=False)
        return self._join(x, y, name)

    def _join(self, x, y, name: str):
        if x.shape[-1] != y.shape[-1]:
            x = self._conv(x, y.shape[-1], 1, f"{name}_shortcut", activate=False)
        return self._activate(layers.Add(name=f"{name}_add")([x, y]), f"{name}_{self.activation}")

    def _activate(self, x, name: str):
        return layers.Activation(self.activation, name=name)(x)

    def _pool(self, x, name: str):
        return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)

    def _conv(self, x, filters, kernel_size, name, strides=1, dilation=1, activate=True):
        layer = ConvNormAct(
            filters,
            kernel_size,
            strides=strides,
            dilation=dilation,
            padding="same",
            activation=self.activation if activate else None,
            name=name,
        )
        return layer(x)
