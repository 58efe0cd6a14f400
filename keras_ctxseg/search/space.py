"""The space that is searched: what a sample may be, and how its genes become a block table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from keras_ctxseg.backbones.block_tables import NUM_STEM_NODES, PARENT_BLOCKS, BlockSpec
from keras_ctxseg.search.topology import Topology

FRACTION: tuple = ()
"""The choices of a gene that is a number in 0...1."""


@dataclass(frozen=True)
class SearchSpace:
    """Permutations of a set of blocks, their connections, and what each block is.

    A sample is a dict of genes. Every combination of genes is a valid network:

    - `order_<b>`, a number: blocks are sorted by it, after the stem.
    - `parent_<b>` and `other_parent_<b>`: the stem's node 0 or 1, or 2 + another block. Where that
      block comes later, the next one (in the numbering of the set, round its end) that comes
      earlier stands in; where both name the same, the second goes one further. So moving one block
      changes no more connections than it has to.
    - `level_<b>`: what is added to the level of a block that is no output (SpineNet,
      arXiv 1912.05027, section 3.3), clipped to the table's range of levels.
    - `type_<b>`, `dilation_<b>`.
    - `finest` and `extra`: the head reads the output of that level and so many coarser ones.

    A gene with one choice is left out.

    Args:
        base: the set of blocks; their parents do not matter.
        level_adjustments, types, dilations: choices for each block.
        finest_levels, extra_levels: choices for the head.

    Raises:
        ValueError: choices that would make a broken network.
    """

    base: tuple[BlockSpec, ...] = PARENT_BLOCKS
    level_adjustments: tuple[int, ...] = (-1, 0, 1, 2)
    types: tuple[str, ...] = ("bottleneck", "residual")
    dilations: tuple[int, ...] = (1, 2, 4)
    finest_levels: tuple[int, ...] = (3,)
    extra_levels: tuple[int, ...] = (0, 1, 2)
    _outputs: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self):
        outputs = tuple(sorted(block.level for block in self.base if block.is_output))
        object.__setattr__(self, "_outputs", outputs)
        for name in ("level_adjustments", "types", "dilations", "finest_levels", "extra_levels"):
            choices = getattr(self, name)
            if not choices or len(set(choices)) != len(choices):
                raise ValueError(
                    f"`{name}`: expected one choice or more, each once. Received: {choices}"
                )
        if 0 not in self.level_adjustments:
            raise ValueError(
                f"`level_adjustments`: expected 0 among them. Received: {self.level_adjustments}"
            )
        for dilation in self.dilations:
            BlockSpec(2, self.types[0], (0, 1), False, dilation)
        for kind in self.types:
            BlockSpec(2, kind, (0, 1))
        for finest in self.finest_levels:
            for extra in self.extra_levels:
                if extra < 0 or not set(range(finest, finest + extra + 1)) <= set(outputs):
                    raise ValueError(
                        "`finest_levels`, `extra_levels`: expected outputs of the set of blocks "
                        f"({', '.join(map(str, outputs))}). Received: {finest} and {extra} more"
                    )

    @cached_property
    def genes(self) -> dict[str, tuple]:
        """`{name: choices}`; `FRACTION` stands for a number in 0...1."""
        nodes = tuple(range(NUM_STEM_NODES + len(self.base)))
        genes: dict[str, tuple] = {}
        for block, spec in enumerate(self.base):
            others = tuple(node for node in nodes if node != block + NUM_STEM_NODES)
            genes[f"order_{block}"] = FRACTION
            genes[f"parent_{block}"] = others
            genes[f"other_parent_{block}"] = others
            if not spec.is_output:
                genes[f"level_{block}"] = self.level_adjustments
            genes[f"type_{block}"] = self.types
            genes[f"dilation_{block}"] = self.dilations
        genes["finest"], genes["extra"] = self.finest_levels, self.extra_levels
        return {name: choices for name, choices in genes.items() if len(choices) != 1}

    def random(self, rng: np.random.Generator) -> dict[str, Any]:
        """A sample's genes, each drawn evenly."""
        numbers = rng.random(len(self.genes)).tolist()
        return {
            name: choices[int(number * len(choices))] if choices else number
            for (name, choices), number in zip(self.genes.items(), numbers, strict=True)
        }

    def mutant(
        self, genes: Mapping[str, Any], probability: float, rng: np.random.Generator
    ) -> dict[str, Any]:
        """A sample's genes, each drawn anew with this probability."""
        drawn = self.random(rng)
        changes = rng.random(len(self.genes)) < probability
        return {
            name: drawn[name] if change else genes[name]
            for name, change in zip(self.genes, changes, strict=True)
        }

    def decode(self, genes: Mapping[str, Any]) -> Topology:
        """The network of these genes."""

        def gene(name: str, choices: Sequence) -> Any:
            return genes[name] if name in self.genes else choices[0]

        order = sorted(range(len(self.base)), key=lambda block: (genes[f"order_{block}"], block))
        # The place of each member of the set: the stem's two nodes, then its blocks.
        place = {0: 0, 1: 1}
        rows = []
        for block in order:
            spec = self.base[block]
            first = self._earlier(genes[f"parent_{block}"], place)
            second = self._earlier(genes[f"other_parent_{block}"], place, without=first)
            adjustment = 0 if spec.is_output else gene(f"level_{block}", self.level_adjustments)
            rows.append(
                BlockSpec(
                    self._clipped(spec.level + adjustment),
                    gene(f"type_{block}", self.types),
                    (min(place[first], place[second]), max(place[first], place[second])),
                    spec.is_output,
                    gene(f"dilation_{block}", self.dilations),
                )
            )
            place[NUM_STEM_NODES + block] = len(place)
        finest = gene("finest", self.finest_levels)
        return Topology(tuple(rows), finest, finest + gene("extra", self.extra_levels))

    def encode(self, topology: Topology) -> dict[str, Any]:
        """The genes of a network, where the space holds it; `decode` gives an equal one.

        Raises:
            ValueError: it is no member of the space, and why.
        """
        block_of = self._assign(topology.blocks)
        identity = [0, 1, *(NUM_STEM_NODES + block for block in block_of)]
        genes: dict[str, Any] = {}
        for place, (block, spec) in enumerate(zip(block_of, topology.blocks, strict=True)):
            genes[f"order_{block}"] = (place + 0.5) / len(self.base)
            genes[f"parent_{block}"] = identity[spec.parents[0]]
            genes[f"other_parent_{block}"] = identity[spec.parents[1]]
            genes[f"level_{block}"] = self._adjustment(block, spec.level)
            genes[f"type_{block}"] = spec.type
            genes[f"dilation_{block}"] = spec.dilation
        genes["finest"] = topology.finest_level
        genes["extra"] = topology.coarsest_level - topology.finest_level
        choices = {
            "type": self.types,
            "dilation": self.dilations,
            "finest": self.finest_levels,
            "extra": self.extra_levels,
        }
        for name, value in genes.items():
            allowed = choices.get(name.split("_")[0])
            if allowed is not None and value not in allowed:
                raise ValueError(f"`{name}`: expected one of {allowed}. Received: {value!r}")
        return {name: genes[name] for name in self.genes}

    def _earlier(self, wish: int, place: Iterable[int], without: int | None = None) -> int:
        count = NUM_STEM_NODES + len(self.base)
        there = set(place) - {without}
        return next(node % count for node in range(wish, wish + count) if node % count in there)

    def _clipped(self, level: int) -> int:
        levels = [block.level for block in self.base]
        return min(max(level, min(levels)), max(levels))

    def _adjustment(self, block: int, level: int) -> int | None:
        """What takes the block of the set to this level, the least first; None if nothing does."""
        for adjustment in sorted(self.level_adjustments, key=abs):
            if self._clipped(self.base[block].level + adjustment) == level:
                return adjustment
        return None

    def _assign(self, blocks: Sequence[BlockSpec]) -> list[int]:
        """Which block of the set each row is: outputs by level, others in the order of levels."""
        found: dict[int, int] = {}
        for is_output in (True, False):
            rows = [row for row, block in enumerate(blocks) if block.is_output == is_output]
            members = [b for b, block in enumerate(self.base) if block.is_output == is_output]
            if len(rows) != len(members):
                raise ValueError(
                    f"`blocks`: expected {len(members)} rows that are "
                    f"{'outputs' if is_output else 'no outputs'}. Received: {len(rows)}"
                )
            # Stable, so that a table in the set's own order keeps its numbering.
            rows.sort(key=lambda row: blocks[row].level)
            members.sort(key=lambda member: self.base[member].level)
            for row, member in zip(rows, members, strict=True):
                fits = (
                    blocks[row].level == self.base[member].level
                    if is_output
                    else self._adjustment(member, blocks[row].level) is not None
                )
                if not fits:
                    raise ValueError(
                        f"`blocks`: row {row + NUM_STEM_NODES} has level {blocks[row].level}, "
                        f"which `level_adjustments` {self.level_adjustments} do not reach"
                    )
                found[row] = member
        return [found[row] for row in range(len(blocks))]
