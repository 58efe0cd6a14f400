"""Cuts a coarse map into blocks of cells and gathers what the windows of a block contain."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_ctxseg.layers.rearranged_arithmetic import current_rearrangement

_SIDE = 2


@dataclass(frozen=True)
class CellBlocks:
    """A grid of blocks of `side`² cells; each cell is `scale`² pixels of a finer map.

    Every cell has a window of `window`² cells around it. The windows of a block overlap: for 2×2
    cells and windows of 5×5, all four lie within 6×6 cells. Gathering those once for the block
    copies each cell 9 times, not 25, and gives matrix products four times the rows.

    Blocks are numbered by (block row, image, block column). With block rows outermost, TensorFlow
    slices them without a copy.

    Attributes:
        rows, columns: Number of blocks on each axis: integers, or scalar integer tensors.
        side: Cells of a block on each axis; `side + window - 1` is a multiple of it.
        scale: Pixels of a cell on each axis.
        window: Cells of a window on each axis; odd.
    """

    rows: Any
    columns: Any
    side: int
    scale: int
    window: int

    @classmethod
    def of(cls, pixels, scale: int, window: int) -> "CellBlocks":
        """The fewest blocks that cover `pixels`, the height and width of the fine map.

        One cell is a block under `rearrangement("none")`: no product is computed that is not used.
        """
        side = 1 if current_rearrangement() == "none" else _SIDE
        length = side * scale
        rows, columns = ((pixels[axis] + length - 1) // length for axis in (0, 1))
        return cls(rows, columns, side, scale, window)

    @property
    def reach(self) -> int:
        """Blocks on each axis that hold the windows of one block."""
        return (self.side + self.window - 1) // self.side

    @property
    def cells(self) -> int:
        """Cells that `windows` gathers for a block."""
        return (self.reach * self.side) ** 2

    def group_pixels(self, x, heads: int):
        """Brings together the pixels that a fine map has in each block, row by row.

        Args:
            x: `(batch, height, width, heads·depth)`; what blocks have beyond it is 0.

        Returns:
            `(blocks, heads, (side·scale)², depth)`.
        """
        channels, length = x.shape[-1], self.side * self.scale
        height, width = tuple(ops.shape(x))[1:3]
        x = _pad(x, 0, (self.rows * length - height, self.columns * length - width))
        x = ops.reshape(x, (-1, self.rows, length, self.columns, length * channels))
        x = ops.transpose(x, (1, 0, 3, 2, 4))
        return _swap(x, (-1, length**2, heads, channels // heads))

    def ungroup_pixels(self, x, size):
        """Reverses `group_pixels`, for a fine map of `size` (height, width)."""
        channels, length = x.shape[1] * x.shape[3], self.side * self.scale
        x = ops.transpose(x, (0, 2, 1, 3))
        x = ops.reshape(x, (self.rows, -1, self.columns, length, length * channels))
        x = ops.transpose(x, (1, 0, 3, 2, 4))
        x = ops.reshape(x, (-1, self.rows * length, self.columns * length, channels))
        return ops.slice(x, (0, 0, 0, 0), (ops.shape(x)[0], *size, channels))

    def cells_first(self, x):
        """Brings together the pixels that are in the same cell of their blocks.

        From `(blocks, heads, (side·scale)², n)` to `(heads·side², blocks·scale², n)`.
        """
        _, heads, _, values = x.shape
        side, scale = self.side, self.scale
        x = ops.reshape(x, (-1, heads * side, scale, side, scale * values))
        x = ops.transpose(x, (1, 3, 0, 2, 4))
        return ops.reshape(x, (heads * side**2, -1, values))

    def blocks_first(self, x, heads: int):
        """Reverses `cells_first`."""
        values, side, scale = x.shape[-1], self.side, self.scale
        x = ops.reshape(x, (heads * side, side, -1, scale, scale * values))
        x = ops.transpose(x, (2, 0, 3, 1, 4))
        return ops.reshape(x, (-1, heads, (side * scale) ** 2, values))

    def pad(self, *maps):
        """Surrounds coarse maps of one size with zeros, to the cells of all windows."""
        before, more = self.window // 2, self.reach - 1
        size = tuple((n + more) * self.side for n in (self.rows, self.columns))
        batch, height, width = tuple(ops.shape(maps[0]))[:3]
        after = (size[0] - height - before, size[1] - width - before)
        static = all(isinstance(count, int) for count in after)
        after = tuple(max(n, 0) if static else ops.maximum(n, 0) for n in after)
        # Cut, too: a map may have a cell more than the blocks do.
        return [
            ops.slice(_pad(x, before, after), (0, 0, 0, 0), (batch, *size, x.shape[-1]))
            for x in maps
        ]

    def windows(self, x, heads: int):
        """Gathers the cells of each block's windows.

        Args:
            x: `(batch, h, w, heads·depth)`, as `pad` returns it.

        Returns:
            `(blocks, heads, cells, depth)`. The cells are in the order of `offsets`.
        """
        depth, side, reach = x.shape[-1] // heads, self.side, self.reach
        more = reach - 1
        rows, columns = self.rows + more, self.columns + more
        x = ops.reshape(x, (-1, rows, side, columns, side * heads * depth))
        x = ops.transpose(x, (1, 0, 3, 2, 4))
        x = _swap(x, (-1, side**2, heads, depth))
        x = ops.reshape(x, (-1, columns, heads, side**2 * depth))
        x = _neighbours(x, 1, self.columns, reach)
        x = ops.reshape(x, (rows, -1, reach * side**2 * depth))
        x = _neighbours(x, 0, self.rows, reach)
        return ops.reshape(x, (-1, heads, self.cells, depth))

    def offsets(self) -> np.ndarray:
        """Where the cells that `windows` gathers are in the window of each cell of the block.

        Returns:
            float32 `(window², side², cells)`: 1 at [o, c, g] if the gathered cell g has the offset
            o, row by row, in the window of cell c. All 0 for cells outside of that window.
        """
        side, reach, window = self.side, self.reach, self.window
        found = np.zeros((window, window, side, side, reach, reach, side, side), "float32")
        for row, column in np.ndindex(side, side):
            for i, j, k, m in np.ndindex(reach, reach, side, side):
                down, right = i * side + k - row, j * side + m - column
                if 0 <= down < window and 0 <= right < window:
                    found[down, right, row, column, i, j, k, m] = 1
        return found.reshape(window**2, side**2, self.cells)

    def other_windows(self) -> np.ndarray:
        """float32 `((side·scale)², cells)`: 1 where a cell is not in the window of a pixel."""
        side, scale = self.side, self.scale
        others = 1 - self.offsets().sum(axis=0).reshape(side, 1, side, 1, self.cells)
        return np.tile(others, (1, scale, 1, scale, 1)).reshape(-1, self.cells)


def _neighbours(x, axis: int, count, reach: int):
    """Appends, along the last axis, to each of the first `count` along `axis` the `reach - 1` next.

    The last axis of the result is `reach` times as long.
    """
    # `ops.slice`, since TensorFlow's gradient of `x[:, a:b]` takes ten times as long on CPU.
    counts = [count if k == axis else length for k, length in enumerate(ops.shape(x))]
    starts = [[first if k == axis else 0 for k in range(len(counts))] for first in range(reach)]
    return ops.concatenate([ops.slice(x, start, counts) for start in starts], axis=-1)


def _swap(x, shape):
    """Reshapes to four axes and exchanges those in the middle."""
    return ops.transpose(ops.reshape(x, shape), (0, 2, 1, 3))


def _pad(x, before: int, after):
    """Pads height and width by zeros: `before` in front of either, `after` (of each) behind."""
    if all(isinstance(count, int) and count == 0 for count in (before, *after)):
        return x
    return ops.pad(x, [(0, 0), (before, after[0]), (before, after[1]), (0, 0)])
