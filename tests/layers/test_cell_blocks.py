"""Blocks of cells against loops over them."""

import numpy as np
import pytest

from keras_ctxseg.layers import rearrangement
from keras_ctxseg.layers.cell_blocks import CellBlocks

CASES = [((13, 9), 2, 5), ((8, 4), 2, 3), ((7, 10), 3, 7), ((5, 6), 1, 5), ((4, 4), 2, 1)]


@pytest.mark.parametrize("level", ["full", "none"])
@pytest.mark.parametrize(("size", "scale", "window"), CASES)
def test_windows_hold_what_their_offsets_say(rng, size, scale, window, level):
    with rearrangement(level):
        blocks = CellBlocks.of(size, scale, window)
    cells = [-(-length // scale) for length in size]
    coarse = rng.normal(size=(2, *cells, 6))
    gathered = np.asarray(blocks.windows(*blocks.pad(coarse), heads=3))
    by_block = gathered.reshape(blocks.rows, 2, blocks.columns, 3, blocks.cells, 2)
    offsets = blocks.offsets()
    for image, i, j, offset in np.ndindex(2, *cells, window**2):
        down, right = np.unravel_index(offset, (window, window))
        u, v = i + down - window // 2, j + right - window // 2
        inside = 0 <= u < cells[0] and 0 <= v < cells[1]
        expected = coarse[image, u, v] if inside else np.zeros(6)
        side = blocks.side
        selection = offsets[offset, side * (i % side) + j % side]
        found = by_block[i // side, image, j // side]
        np.testing.assert_array_equal(
            np.einsum("hcd,c->hd", found, selection), expected.reshape(3, 2)
        )
    assert offsets.sum(axis=2).tolist() == np.ones((window**2, blocks.side**2)).tolist()
    others = blocks.other_windows()
    for y, x in np.ndindex(blocks.side * scale, blocks.side * scale):
        own = offsets[:, blocks.side * (y // scale) + x // scale].sum(axis=0)
        np.testing.assert_array_equal(others[y * blocks.side * scale + x], 1 - own)


@pytest.mark.parametrize("level", ["full", "none"])
@pytest.mark.parametrize(("size", "scale", "window"), CASES)
def test_pixels_come_by_block_or_by_cell_and_back(rng, size, scale, window, level):
    with rearrangement(level):
        blocks = CellBlocks.of(size, scale, window)
    fine = rng.normal(size=(2, *size, 6))
    grouped = blocks.group_pixels(fine, heads=3)
    by_cell = blocks.cells_first(grouped)
    length = blocks.side * scale
    pixels = np.reshape(grouped, (blocks.rows, 2, blocks.columns, 3, length, length, 2))
    cells = np.reshape(
        by_cell,
        (3, blocks.side, blocks.side, blocks.rows, 2, blocks.columns, scale, scale, 2),
    )
    for image, i, j in np.ndindex(2, *size):
        (row, y), (column, x) = divmod(i, length), divmod(j, length)
        expected = fine[image, i, j].reshape(3, 2)
        np.testing.assert_array_equal(pixels[row, image, column, :, y, x], expected)
        found = cells[:, y // scale, x // scale, row, image, column, y % scale, x % scale]
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(blocks.blocks_first(by_cell, heads=3), grouped)
    np.testing.assert_array_equal(blocks.ungroup_pixels(grouped, size), fine)


def test_a_cell_is_a_block_where_nothing_is_rearranged():
    assert CellBlocks.of((8, 8), 2, 5).side == 2
    with rearrangement("none"):
        assert CellBlocks.of((8, 8), 2, 5).side == 1


@pytest.mark.parametrize("size", [(3, 4), (6, 5), (7, 7)])
def test_pad_cuts_a_map_of_a_cell_too_many(rng, size):
    coarse = rng.normal(size=(1, *size, 2))
    blocks = CellBlocks.of((8, 8), 2, 1)  # 4×4 cells, windows of one
    padded = np.zeros((1, 4, 4, 2))
    padded[:, : size[0], : size[1]] = coarse[:, :4, :4]
    for result in blocks.pad(coarse, coarse):
        np.testing.assert_array_equal(result, padded)
