"""The space: every sample is a valid network, and known tables are members."""

from collections import Counter

import numpy as np
import pytest

from keras_ctxseg.backbones.block_tables import HAND_DILATED_BLOCKS, PARENT_BLOCKS, dilate
from keras_ctxseg.search import SearchSpace, Topology, count_cost

SPACE = SearchSpace(finest_levels=(3, 4), extra_levels=(0, 1, 2))


def test_thousands_of_samples_are_valid_networks():
    rng = np.random.default_rng(7)
    seen, firsts, heads, levels = set(), Counter(), Counter(), Counter()
    for _ in range(3000):
        topology = SPACE.decode(SPACE.random(rng))
        outputs = Counter()
        for node, block in enumerate(topology.blocks, start=2):
            # The stem comes first, and parents are two different nodes before the block.
            assert 0 <= block.parents[0] < block.parents[1] < node
            assert 2 <= block.level <= 7 and block.dilation in (1, 2, 4)
            outputs[block.level] += block.is_output
        assert len(topology.blocks) == 16
        assert all(outputs[level] == 1 for level in range(2, 8))
        # What the head reads can be computed from the stem, and nothing else is built.
        used = set(topology.used_nodes)
        assert {0, 1} < used
        assert all({*topology.blocks[node - 2].parents} <= used for node in used if node > 1)
        cost = count_cost(topology, "s49s", 5, (64, 64))
        assert cost.parameters > cost.trainable > 100_000 and cost.multiply_adds > 10_000_000
        seen.add(topology.signature)
        firsts[topology.blocks[0].level] += 1
        heads[topology.levels] += 1
        levels.update(block.level for block in topology.blocks)
    assert len(seen) > 2700  # a head on a few blocks comes again
    assert set(firsts) == set(levels) == set(range(2, 8))
    # Six heads, each drawn evenly.
    assert len(heads) == 6 and min(heads.values()) > 430


def test_choices_of_one_are_no_genes():
    space = SearchSpace(dilations=(2,), types=("residual",), extra_levels=(1,))
    assert not any(name.startswith(("dilation", "type", "finest", "extra")) for name in space.genes)
    topology = space.decode(space.random(np.random.default_rng(0)))
    assert {(block.dilation, block.type) for block in topology.blocks} == {(2, "residual")}
    assert topology.levels == (3, 4)


@pytest.mark.parametrize(
    "blocks", [PARENT_BLOCKS, HAND_DILATED_BLOCKS, dilate(PARENT_BLOCKS, {5: 4})]
)
def test_known_tables_are_members(blocks):
    topology = Topology(blocks, 3, 5)
    assert SPACE.decode(SPACE.encode(topology)) == topology


def test_every_sample_is_a_member():
    rng = np.random.default_rng(3)
    wide = SearchSpace(level_adjustments=(-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5))
    for _ in range(200):
        topology = wide.decode(wide.random(rng))
        assert wide.decode(wide.encode(topology)) == topology


def test_moving_one_block_keeps_the_other_connections():
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(200):
        genes = SPACE.random(rng)
        moved = {**genes, "order_4": float(rng.random())}
        before, after = (_edges(one) for one in (genes, moved))
        shares.append(len(before & after) / len(before))
    # Of 32 connections those of the moved block may change, and those that it stood in for.
    assert np.mean(shares) > 0.9


def _edges(genes):
    """`{(block, parent)}` by member of the set, whatever the order; the stem is -2 and -1."""
    order = sorted(range(16), key=lambda block: genes[f"order_{block}"])
    name = [-2, -1, *order]
    blocks = SPACE.decode(genes).blocks
    return {
        (name[node], name[parent])
        for node, block in enumerate(blocks, start=2)
        for parent in block.parents
    }


def test_a_mutant_keeps_most_genes():
    rng = np.random.default_rng(5)
    parent = SPACE.encode(Topology(HAND_DILATED_BLOCKS, 3, 3))
    assert SPACE.mutant(parent, 0.0, rng) == parent
    probability, changed = 3 / len(SPACE.genes), []
    for _ in range(300):
        mutant = SPACE.mutant(parent, probability, rng)
        assert list(mutant) == list(SPACE.genes)
        SPACE.decode(mutant)
        changed.append(sum(mutant[name] != parent[name] for name in SPACE.genes))
    # Three genes are drawn anew on average, and some of these come out as they were.
    assert 1.5 < np.mean(changed) < 3
    fractions = [name for name, choices in SPACE.genes.items() if not choices]
    mutant = SPACE.mutant(parent, 1.0, rng)
    assert all(mutant[name] != parent[name] for name in fractions)


def test_what_is_no_member():
    with pytest.raises(
        ValueError, match="`dilation_0`: expected one of \\(1, 2, 4\\). Received: 3"
    ):
        SPACE.encode(Topology(dilate(PARENT_BLOCKS, {2: 3}), 3, 3))
    with pytest.raises(ValueError, match="expected 10 rows that are no outputs. Received: 9"):
        SPACE.encode(Topology(_without_the_unread(), 3, 3))
    with pytest.raises(ValueError, match="`finest_levels`, `extra_levels`.*Received: 5 and 3 more"):
        SearchSpace(finest_levels=(5,), extra_levels=(3,))
    with pytest.raises(ValueError, match="`level_adjustments`: expected 0 among them"):
        SearchSpace(level_adjustments=(1, 2))


def _without_the_unread():
    """The parent's table without node 11, which nobody names as a parent."""
    from dataclasses import replace

    rows = [*PARENT_BLOCKS[:9], *PARENT_BLOCKS[10:]]
    return tuple(
        replace(row, parents=tuple(p - 1 if p > 11 else p for p in row.parents)) for row in rows
    )
