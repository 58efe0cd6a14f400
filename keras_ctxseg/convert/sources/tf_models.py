"""tf-models (tensorflow/models, official/vision): dilated ResNets and SpineNet.

Its layers have no names of their own; `tensorflow_file` numbers them in the order in which they
were made, and what is written here is that order.
"""

import re
from collections.abc import Collection, Mapping

from keras_ctxseg.backbones import PARENT_BLOCKS
from keras_ctxseg.backbones.block_tables import NUM_STEM_NODES, output_nodes, required_nodes
from keras_ctxseg.convert.report import ConversionError
from keras_ctxseg.convert.tables import KERAS, Row, Source, Table


def _block_rows(ours: str, kind: str, number: int) -> list[Row]:
    """A block's lines: its shortcut and its convolutions, of which a residual one has two."""
    theirs = f"{kind}/{number}"
    return [
        Row(f"{ours}_shortcut", f"{theirs}/conv0", f"{theirs}/norm0"),
        Row(f"{ours}_conv{{n}}", f"{theirs}/conv{{n}}", f"{theirs}/norm{{n}}"),
    ]


def _resnet(paths: Collection[str], arrays: Mapping) -> list[Row]:
    """Stem, then block after block."""
    rows = [Row("backbone_stem_conv{n}", "conv/{n-1}", "norm/{n-1}")]
    kind = "bottleneck" if any(name.startswith("bottleneck/") for name in arrays) else "residual"
    found = {re.match(r"backbone_stage(\d)_block(\d+)_conv1$", path) for path in paths}
    blocks = sorted((int(block[1]), int(block[2])) for block in found if block)
    for number, (stage, block) in enumerate(blocks):
        rows += _block_rows(f"backbone_stage{stage}_block{block}", kind, number)
    return rows


def _spinenet(paths: Collection[str], arrays: Mapping) -> list[Row]:
    """Stem and its two nodes; each node's resampled parents, then its blocks; the outputs."""
    levels, repeats = _outputs(arrays)
    rows = [Row("backbone_stem_conv", "conv/0", "norm/0")]
    made = {"conv": 1, "bottleneck": 0, "residual": 0}

    def take(kind: str) -> int:
        made[kind] += 1
        return made[kind] - 1

    def conv(ours: str) -> None:
        number = take("conv")
        rows.append(Row(ours, f"conv/{number}", f"norm/{number}"))

    def group(node: int, kind: str) -> None:
        for block in range(1, repeats + 1):
            rows.extend(_block_rows(f"backbone_node{node}_block{block}", kind, take(kind)))

    level_of = dict.fromkeys(range(NUM_STEM_NODES), 2)
    for node in range(NUM_STEM_NODES):
        group(node, "bottleneck")
    built = required_nodes(PARENT_BLOCKS, levels)
    for node, block in enumerate(PARENT_BLOCKS, start=NUM_STEM_NODES):
        level_of[node] = block.level
        if node not in built:
            continue
        for parent in block.parents:
            name = f"backbone_node{node}_from{parent}"
            conv(f"{name}_reduce")
            if level_of[parent] < block.level:
                conv(f"{name}_down")
            conv(f"{name}_expand")
        group(node, block.type)
    for level in levels:
        conv(f"backbone_p{level}")
    return rows


def _outputs(arrays: Mapping) -> tuple[tuple[int, ...], int]:
    """Which levels a checkpoint's SpineNet puts out, and its blocks a node, from its layers' count.

    Raises:
        ConversionError: If no SpineNet has so many.
    """

    def count(kind: str) -> int:
        return len({name.split("/")[1] for name in arrays if name.startswith(f"{kind}/")})

    theirs = {kind: count(kind) for kind in ("conv", "bottleneck", "residual")}
    ends = tuple(output_nodes(PARENT_BLOCKS))
    for low in range(ends[0], ends[-1] + 1):
        for high in range(ends[-1], low - 1, -1):
            levels = tuple(range(low, high + 1))
            ours = _counts(levels)
            repeats = theirs["residual"] // max(ours["residual"], 1)
            scaled = {kind: ours[kind] * (repeats if kind != "conv" else 1) for kind in ours}
            if repeats and scaled == theirs:
                return levels, repeats
    raise ConversionError(
        f"the checkpoint is of no SpineNet: it has {theirs['conv']} convolutions outside of "
        f"blocks, {theirs['bottleneck']} bottlenecks and {theirs['residual']} residual blocks"
    )


def _counts(levels: tuple[int, ...]) -> dict[str, int]:
    counts = {"conv": 1 + len(levels), "bottleneck": NUM_STEM_NODES, "residual": 0}
    level_of = dict.fromkeys(range(NUM_STEM_NODES), 2)
    built = required_nodes(PARENT_BLOCKS, levels)
    for node, block in enumerate(PARENT_BLOCKS, start=NUM_STEM_NODES):
        level_of[node] = block.level
        if node in built:
            counts[block.type] += 1
            counts["conv"] += sum(2 + (level_of[parent] < block.level) for parent in block.parents)
    return counts


TF_MODELS = Source(
    "tf-models",
    KERAS,
    (
        # Of DeepLab's configurations; its ImageNet classifiers were trained with 1e-5.
        Table("resnet", _resnet, 1e-3, padding="same"),
        Table("spinenet", _spinenet, 1e-3, padding="same", may_be_larger=True),
    ),
    unused=((r"^save_counter|^optimizer", "state of the training"),),
)
