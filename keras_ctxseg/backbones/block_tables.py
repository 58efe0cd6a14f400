"""Scale-permuted networks as data: tables of blocks, which a person or a search writes.

Neither Keras nor files: a search reads and writes tables by the thousand before any network is
built.

A node is a feature map. Nodes 0 and 1 are the stem's, at level 2; row i of a table is node i + 2.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from keras_ctxseg._naming import nearest

# Channels inside the blocks of a level, before scaling (SpineNet, arXiv 1912.05027).
FILTERS = {1: 32, 2: 64, 3: 128, 4: 256, 5: 256, 6: 256, 7: 256}
# What a block puts out, as a multiple of that.
EXPANSION = {"bottleneck": 4, "residual": 1}
NUM_STEM_NODES = 2


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """One row of a block table: a group of like blocks at one resolution.

    Attributes:
        level: `log2` of the reduction, 1 to 7.
        type: `"bottleneck"` (1×1, 3×3, 1×1 to four times the filters) or `"residual"` (two 3×3).
        parents: Two earlier nodes, which are resampled to this level and added.
        is_output: Whether the network puts this node out, as `P<level>`.
        dilation: Atrous rate of the 3×3 convolutions (SpineNet-Seg, arXiv 2103.12270; 1 in
            SpineNet).
    """

    level: int
    type: str
    parents: tuple[int, int]
    is_output: bool = False
    dilation: int = 1

    def __post_init__(self):
        if self.level not in FILTERS:
            raise ValueError(f"`level` must be 1 to {max(FILTERS)}. Received: level={self.level!r}")
        if self.type not in EXPANSION:
            raise ValueError(
                f"`type` must be one of {list(EXPANSION)}. Received: type={self.type!r}"
            )
        if len(self.parents) != 2 or self.parents[0] == self.parents[1]:
            raise ValueError(
                f"`parents` must be two different nodes. Received: parents={self.parents}"
            )
        if not isinstance(self.dilation, int) or self.dilation < 1:
            raise ValueError(
                f"`dilation` must be an integer of at least 1. Received: dilation={self.dilation!r}"
            )

    @property
    def row(self) -> list:
        """The block as plain data, for JSON and YAML; `read_blocks` takes it back."""
        return [self.level, self.type, list(self.parents), self.is_output, self.dilation]


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large a network a table becomes (SpineNet, arXiv 1912.05027, section 3.3).

    Attributes:
        endpoint_filters: Channels of each output.
        filter_scale: Multiplier of the blocks' filters.
        alpha: Share of a parent's filters that its resampling keeps.
        repeats: Blocks in each node's group.
    """

    endpoint_filters: int
    filter_scale: float
    alpha: float
    repeats: int


SCALES = {
    "s49s": Scale(128, 0.65, 0.5, 1),
    "s49": Scale(256, 1.0, 0.5, 1),
    "s96": Scale(256, 1.0, 0.5, 2),
    "s143": Scale(256, 1.0, 1.0, 3),
    "s190": Scale(512, 1.3, 1.0, 4),
}

# SpineNet, found by search for object detection (arXiv 1912.05027).
PARENT_BLOCKS = (
    BlockSpec(2, "bottleneck", (0, 1)),
    BlockSpec(4, "residual", (0, 1)),
    BlockSpec(3, "bottleneck", (2, 3)),
    BlockSpec(4, "bottleneck", (2, 4)),
    BlockSpec(6, "residual", (3, 5)),
    BlockSpec(4, "bottleneck", (3, 5)),
    BlockSpec(5, "residual", (6, 7)),
    BlockSpec(7, "residual", (6, 8)),
    BlockSpec(5, "bottleneck", (8, 9)),
    BlockSpec(5, "bottleneck", (8, 10)),
    BlockSpec(4, "bottleneck", (5, 10), is_output=True),
    BlockSpec(3, "bottleneck", (4, 10), is_output=True),
    BlockSpec(5, "bottleneck", (7, 12), is_output=True),
    BlockSpec(7, "bottleneck", (5, 14), is_output=True),
    BlockSpec(6, "bottleneck", (12, 14), is_output=True),
    BlockSpec(2, "bottleneck", (2, 13), is_output=True),
)


def dilate(blocks: Iterable[BlockSpec], rates: Mapping[int, int]) -> tuple[BlockSpec, ...]:
    """Returns the table with the atrous rate of each level replaced: `{level: rate}`."""
    return tuple(
        dataclasses.replace(block, dilation=rates.get(block.level, block.dilation))
        for block in blocks
    )


# Ours, set by hand and not searched: the parent's topology, with rate 2 where maps are fine enough
# at usual crops for a 3×3 kernel to look further. Level 2 keeps its detail; levels 5 to 7 reach far
# already.
HAND_DILATED_BLOCKS = dilate(PARENT_BLOCKS, {3: 2, 4: 2})

# Ours, trial 157 of `ctxseg search configs/search/context_scenes.yaml` (docs/search.md). What feeds
# only outputs that a head does not read is not built.
SEARCHED_BLOCKS = (
    BlockSpec(2, "residual", (0, 1)),
    BlockSpec(6, "residual", (0, 1), dilation=4),
    BlockSpec(5, "residual", (0, 3), dilation=2),
    BlockSpec(6, "bottleneck", (0, 3)),
    BlockSpec(5, "bottleneck", (0, 1)),
    BlockSpec(5, "bottleneck", (0, 3), is_output=True),
    BlockSpec(7, "bottleneck", (3, 5), dilation=2),
    BlockSpec(4, "residual", (0, 7)),
    BlockSpec(3, "bottleneck", (1, 2), is_output=True, dilation=4),
    BlockSpec(7, "bottleneck", (3, 8), is_output=True, dilation=2),
    BlockSpec(7, "residual", (0, 5), dilation=4),
    BlockSpec(6, "residual", (5, 10), is_output=True, dilation=4),
    BlockSpec(4, "bottleneck", (7, 10)),
    BlockSpec(4, "bottleneck", (3, 5), is_output=True, dilation=2),
    BlockSpec(2, "bottleneck", (2, 13), is_output=True, dilation=4),
    BlockSpec(5, "bottleneck", (10, 14), dilation=4),
)

# Tables that have a name: options, recipes and searches may give it in a table's place.
TABLES = {
    "parent": PARENT_BLOCKS,
    "hand_dilated": HAND_DILATED_BLOCKS,
    "searched": SEARCHED_BLOCKS,
}


def read_blocks(blocks: str | Iterable[BlockSpec | Sequence]) -> tuple[BlockSpec, ...]:
    """Checks a block table, given by its name, as `BlockSpec`s or as rows.

    Args:
        blocks: `"parent"`, `"hand_dilated"` or `"searched"`; or `BlockSpec`s; or rows `[level,
            type, [parent, parent], is_output, dilation]`, the last two optional.

    Raises:
        ValueError: No table has that name; or a row is malformed, a parent is not an earlier node,
            or a level is put out twice, naming the node.
    """
    if isinstance(blocks, str):
        if blocks not in TABLES:
            raise ValueError(
                f"`blocks` must be a table or one of {list(TABLES)}. Received: blocks={blocks!r}."
                + nearest(blocks, TABLES)
            )
        return TABLES[blocks]
    specs: list[BlockSpec] = []
    outputs: set[int] = set()
    for node, row in enumerate(blocks, start=NUM_STEM_NODES):
        try:
            spec = row if isinstance(row, BlockSpec) else _read_row(row)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`blocks` has a bad row for node {node}: {error}") from error
        if any(parent not in range(node) for parent in spec.parents):
            raise ValueError(
                f"`blocks` must give node {node} parents from 0 to {node - 1}. "
                f"Received: parents={spec.parents}"
            )
        if spec.is_output and spec.level in outputs:
            raise ValueError(
                f"`blocks` must put each level out once. Received: level {spec.level} again at "
                f"node {node}"
            )
        if spec.is_output:
            outputs.add(spec.level)
        specs.append(spec)
    return tuple(specs)


def _read_row(row: Sequence) -> BlockSpec:
    if isinstance(row, str) or not 3 <= len(row) <= 5:
        raise ValueError(
            f"expected [level, type, [parent, parent], is_output, dilation]. Received: {row!r}"
        )
    level, kind, parents, *rest = row
    return BlockSpec(level, kind, tuple(parents), *rest)


def output_nodes(blocks: Sequence[BlockSpec]) -> dict[int, int]:
    """Returns `{level: node}` of what the table puts out, from fine to coarse."""
    nodes = {
        block.level: node
        for node, block in enumerate(blocks, start=NUM_STEM_NODES)
        if block.is_output
    }
    return dict(sorted(nodes.items()))


def adopted_nodes(blocks: Sequence[BlockSpec]) -> dict[int, tuple[int, ...]]:
    """Returns `{node: earlier nodes that it adds as they are}`.

    An output takes in every earlier node that nobody has used yet, if it has the output's level and
    channels, so that no work is lost (in the parent: node 11 into node 14). Levels decide, not
    sizes: the maps of a small image may be equally large at two levels.
    """
    kinds = [(2, "bottleneck")] * NUM_STEM_NODES + [(block.level, block.type) for block in blocks]
    unused = set(range(NUM_STEM_NODES))
    adopted = {}
    for node, block in enumerate(blocks, start=NUM_STEM_NODES):
        unused -= set(block.parents)
        taken = {other for other in unused if block.is_output and kinds[other] == kinds[node]}
        unused = unused - taken | {node}
        adopted[node] = tuple(sorted(taken))
    return adopted


def required_nodes(blocks: Sequence[BlockSpec], levels: Collection[int]) -> set[int]:
    """Returns the nodes that the outputs of some levels depend on, those outputs included."""
    adopted = adopted_nodes(blocks)
    waiting = [node for level, node in output_nodes(blocks).items() if level in levels]
    required = set(range(NUM_STEM_NODES))
    while waiting:
        node = waiting.pop()
        if node not in required:
            required.add(node)
            waiting += [*blocks[node - NUM_STEM_NODES].parents, *adopted[node]]
    return required
