"""A scale-permuted network as a search finds it: a block table, and the outputs the head reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_ctxseg._naming import nearest
from keras_ctxseg._yaml import parse
from keras_ctxseg.backbones.block_tables import (
    NUM_STEM_NODES,
    BlockSpec,
    adopted_nodes,
    output_nodes,
    read_blocks,
    required_nodes,
)

FINEST_LEVELS = (2, 3, 4, 5)


@dataclass(frozen=True)
class Topology:
    """What `spinenet_seg_*` is built from.

    Args:
        blocks: the block table.
        finest_level: of the outputs that the head reads, 2 to 5: output stride 4 to 32.
        coarsest_level: of those outputs; all between the two are merged.

    Raises:
        ValueError: the table does not put out one of these levels.
    """

    blocks: tuple[BlockSpec, ...]
    finest_level: int = 3
    coarsest_level: int = 3

    def __post_init__(self):
        object.__setattr__(self, "blocks", read_blocks(self.blocks))
        levels, there = self.levels, output_nodes(self.blocks)
        if self.finest_level not in FINEST_LEVELS or not levels or not set(levels) <= set(there):
            raise ValueError(
                "`finest_level` to `coarsest_level`: expected levels that `blocks` puts out "
                f"({', '.join(map(str, there))}), from 2 to 5 on. Received: {self.finest_level} to "
                f"{self.coarsest_level}"
            )

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels of the outputs that the head reads, from fine to coarse."""
        return tuple(range(self.finest_level, self.coarsest_level + 1))

    @property
    def options(self) -> dict[str, Any]:
        """The options of `keras_ctxseg.models.build` that make this network, as plain data."""
        return {
            "output_stride": 2**self.finest_level,
            "max_level": self.coarsest_level,
            "blocks": [block.row for block in self.blocks],
        }

    @cached_property
    def used_nodes(self) -> tuple[int, ...]:
        """The nodes that are built: the stem's, and those that the head's outputs depend on."""
        return tuple(sorted(required_nodes(self.blocks, self.levels)))

    @cached_property
    def signature(self) -> str:
        """The same for two tables that build the same network: unused blocks do not count."""
        adopted, outputs = adopted_nodes(self.blocks), output_nodes(self.blocks)
        number = {node: str(place) for place, node in enumerate(self.used_nodes)}
        parts = []
        for node in self.used_nodes[NUM_STEM_NODES:]:
            block = self.blocks[node - NUM_STEM_NODES]
            sources = "+".join(number[other] for other in (*block.parents, *adopted[node]))
            parts.append(f"{block.level}{block.type[0]}{block.dilation}({sources})")
        head = ",".join(f"{level}:{number[outputs[level]]}" for level in self.levels)
        return " ".join([*parts, f"head {head}"])


def topology_from_options(options: Mapping[str, Any], source: str = "topology") -> Topology:
    """The topology that these options of `build` make; the inverse of `Topology.options`.

    Args:
        options: `blocks`, and `output_stride` and `max_level` where they are not 8 and the finest.
        source: what errors name.

    Raises:
        ValueError: an unknown key, no blocks, or a value that does not fit.
    """
    known = ("output_stride", "max_level", "blocks")
    for key in options:
        if key not in known:
            raise ValueError(
                f"{source}: unknown key `{key}`. Expected {', '.join(known)}."
                + nearest(str(key), known)
            )
    blocks = options.get("blocks")
    if not isinstance(blocks, Sequence) or isinstance(blocks, str) or not blocks:
        raise ValueError(f"{source}: `blocks`: expected a list of rows. Received: {blocks!r}")
    stride = options.get("output_stride", 8)
    if stride not in [2**level for level in FINEST_LEVELS]:
        raise ValueError(
            f"{source}: `output_stride`: expected 4, 8, 16 or 32. Received: {stride!r}"
        )
    finest = FINEST_LEVELS[[4, 8, 16, 32].index(stride)]
    coarsest = options.get("max_level") or finest
    if not isinstance(coarsest, int):
        raise ValueError(f"{source}: `max_level`: expected an integer. Received: {coarsest!r}")
    try:
        return Topology(tuple(blocks), finest, coarsest)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def load_topology(path: str | os.PathLike) -> Topology:
    """Reads a block table, as `save_topology` and the search write it.

    Examples:
        model = ctx.models.build("spinenet_seg_s49s", 19, **load_topology("found.yaml").options)

    Raises:
        ValueError: naming the file, and what is wrong with it.
    """
    try:
        values, _ = parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot read the block table {path}: {reason}") from None
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: expected a mapping with `blocks`. Received: {values!r}")
    return topology_from_options(values, str(path))


def save_topology(
    topology: Topology, path: str | os.PathLike, comments: Sequence[str] = ()
) -> None:
    """Writes a block table for people to read: a row a line, with its node's number.

    Args:
        topology: what is written.
        path: the YAML file.
        comments: lines at its top.
    """
    lines = [f"# {comment}" for comment in comments]
    lines += [f"output_stride: {2**topology.finest_level}"]
    lines += [f"max_level: {topology.coarsest_level}"]
    lines += ["blocks: # level, type, parents, is an output, dilation", *block_lines(topology)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def block_lines(topology: Topology) -> list[str]:
    """The rows of a topology as lines of YAML; blocks that are not built say so."""
    used, lines = set(topology.used_nodes), []
    for node, block in enumerate(topology.blocks, start=NUM_STEM_NODES):
        level, kind, parents, is_output, dilation = block.row
        flag = "true" if is_output else "false"
        note = "" if node in used else ", unused"
        lines.append(f"- [{level}, {kind}, {parents}, {flag}, {dilation}] # node {node}{note}")
    return lines
