"""Parameters and multiply-adds of `spinenet_seg_*`, by arithmetic from the block table alone.

No network is built, and Keras takes no part: a search asks this of thousands of tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keras_ctxseg.backbones.block_tables import (
    EXPANSION,
    FILTERS,
    NUM_STEM_NODES,
    SCALES,
    BlockSpec,
    Scale,
)
from keras_ctxseg.search.topology import Topology

_STEM = BlockSpec(2, "bottleneck", (0, 1))
_STEM_CHANNELS = 64


class Convolution(NamedTuple):
    """One convolution of the network, with what follows it.

    Attributes:
        kernel: side of the kernel.
        inputs, filters: channels.
        level: of its output, whose sides are `ceil(side / 2^level)`; None is a single pixel.
        norm: whether batch normalisation follows; if not, it has a bias.
        depthwise: each filter reads one channel.
    """

    kernel: int
    inputs: int
    filters: int
    level: int | None
    norm: bool = True
    depthwise: bool = False

    @property
    def weights(self) -> int:
        return self.kernel**2 * self.filters * (1 if self.depthwise else self.inputs)


@dataclass(frozen=True)
class Cost:
    """What a network takes.

    Attributes:
        parameters: as `model.count_params()` has them, moving averages included.
        trainable: those that training changes.
        multiply_adds: of one image, as `keras_ctxseg.benchmark.count_multiply_adds` counts them,
            but for a decoder, which is counted as it is written.
    """

    parameters: int
    trainable: int
    multiply_adds: int


def count_cost(
    topology: Topology,
    scale: str,
    num_classes: int,
    input_size: tuple[int, int] = (512, 512),
    options: Mapping[str, Any] | None = None,
) -> Cost:
    """Counts parameters and multiply-adds.

    Args:
        topology: the block table and the outputs that the head reads.
        scale: `"s49s"`, `"s49"`, `"s96"`, `"s143"` or `"s190"`.
        num_classes: classes.
        input_size: height and width of the image in pixels.
        options: the family's further options, as for `build("spinenet_seg_<scale>", ...)`; those
            of the topology are ignored.
    """
    parameters = trainable = multiply_adds = 0
    height, width = input_size
    for conv in convolutions(topology, SCALES[scale], num_classes, options or {}):
        extra = 2 * conv.filters if conv.norm else conv.filters
        trainable += conv.weights + extra
        parameters += conv.weights + (4 * conv.filters if conv.norm else conv.filters)
        pixels = 1
        if conv.level is not None:
            step = 2**conv.level
            pixels = -(-height // step) * -(-width // step)
        multiply_adds += pixels * conv.weights
    return Cost(parameters, trainable, multiply_adds)


def convolutions(
    topology: Topology, scale: Scale, num_classes: int, options: Mapping[str, Any]
) -> Iterator[Convolution]:
    """All convolutions of the network, in the order in which it computes them."""
    width = options.get("width", 1.0)

    def filters(level: int) -> int:
        return max(1, int(FILTERS[level] * scale.filter_scale * width))

    def spec(node: int) -> BlockSpec:
        return _STEM if node < NUM_STEM_NODES else topology.blocks[node - NUM_STEM_NODES]

    yield Convolution(7, 3, _STEM_CHANNELS, 1)
    channels = _STEM_CHANNELS
    for node in topology.used_nodes:
        block = spec(node)
        inside = filters(block.level)
        if node >= NUM_STEM_NODES:
            channels = inside * EXPANSION[block.type]
            for parent in block.parents:
                yield from _resampling(spec(parent), block, scale, filters, channels)
        for _ in range(scale.repeats):
            yield from _block(block, channels, inside)
            channels = inside * EXPANSION[block.type]
    outputs = max(1, int(scale.endpoint_filters * width))
    for level in topology.levels:
        source = next(b for b in topology.blocks if b.is_output and b.level == level)
        yield Convolution(1, filters(level) * EXPANSION[source.type], outputs, level)
    detail = filters(_STEM.level) * EXPANSION[_STEM.type]
    yield from _head(topology, outputs, detail, num_classes, options)


def _resampling(source, target, scale, filters, channels) -> Iterator[Convolution]:
    reduced = max(1, int(filters(source.level) * scale.alpha))
    yield Convolution(1, filters(source.level) * EXPANSION[source.type], reduced, source.level)
    if source.level < target.level:
        yield Convolution(3, reduced, reduced, source.level + 1)
    yield Convolution(1, reduced, channels, target.level)


def _block(block: BlockSpec, inputs: int, inside: int) -> Iterator[Convolution]:
    level, outputs = block.level, inside * EXPANSION[block.type]
    if block.type == "bottleneck":
        yield Convolution(1, inputs, inside, level)
        yield Convolution(3, inside, inside, level)
        yield Convolution(1, inside, outputs, level)
    else:
        yield Convolution(3, inputs, inside, level)
        yield Convolution(3, inside, outputs, level)
    if inputs != outputs:
        yield Convolution(1, inputs, outputs, level)


def _head(topology, channels, detail, num_classes, options) -> Iterator[Convolution]:
    level = topology.finest_level
    filters = options.get("filters", 256)
    rates = options.get("rates") or (1, 2, 3)  # How many there are is what counts.
    pooling = options.get("image_pooling", True)
    if options.get("merge", "sum") == "concat":
        channels *= len(topology.levels)
    yield Convolution(1, channels, filters, level)
    for _ in rates:
        yield Convolution(3, channels, filters, level)
    if pooling:
        yield Convolution(1, channels, filters, None)
    yield Convolution(1, filters * (1 + len(rates) + bool(pooling)), filters, level)
    if options.get("decoder", False):
        level = 2
        yield Convolution(1, detail, 48, level)
        for inputs in (filters + 48, filters):
            if options.get("separable_decoder", False):
                yield Convolution(3, inputs, inputs, level, depthwise=True)
                yield Convolution(1, inputs, filters, level)
            else:
                yield Convolution(3, inputs, filters, level)
    yield Convolution(1, filters, num_classes, level, norm=False)
