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
        rows, columns = (-(-length // (side * scale)) for length in pixels)
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
        """Orders the pixels of a fine map by block, then by cell.

        Args:
            x: `(batch, height, width, heads·depth)`; what blocks have beyond it is 0.

        Returns:
            `(blocks, heads, side²·scale², depth)`.
        """
        channels, side, scale = x.shape[-1], self.side, self.scale
        columns = self.columns * side
        x = _fit(x, 0, self.rows * side * scale, columns * scale)
        x = _swap(x, (-1, scale, columns, scale * channels))
        x = ops.reshape(x, (-1, self.rows, side, self.columns, side * scale**2 * channels))
        x = ops.transpose(x, (1, 0, 3, 2, 4))
        return _swap(x, (-1, (side * scale) ** 2, heads, channels // heads))

    def ungroup_pixels(self, x, size):
        """Reverses `group_pixels`, for a fine map of `size` (height, width)."""
        channels, side, scale = x.shape[1] * x.shape[3], self.side, self.scale
        height, width = self.rows * side * scale, self.columns * side * scale
        x = ops.transpose(x, (0, 2, 1, 3))
        x = ops.reshape(x, (self.rows, -1, self.columns, side, side * scale**2 * channels))
        x = ops.transpose(x, (1, 0, 3, 2, 4))
        x = _swap(x, (-1, self.columns * side, scale, scale * channels))
        x = ops.reshape(x, (-1, height, width, channels))
        return ops.slice(x, (0, 0, 0, 0), (ops.shape(x)[0], *size, channels))

    def pad(self, x):
        """Surrounds a coarse map with zeros, to the cells of all windows."""
        height, width = ((n + self.reach - 1) * self.side for n in (self.rows, self.columns))
        return _fit(x, self.window // 2, height, width)

    def windows(self, x, heads: int):
        """Gathers the cells of each block's windows.

        Args:
            x: `(batch, h, w, heads·depth)`, as `pad` returns it.

        Returns:
            `(blocks, heads, cells, depth)`. The cells are in the order of `offsets`.
        """
        depth, side, reach = x.shape[-1] // heads, self.side, self.reach
        rows, columns = (n + reach - 1 for n in (self.rows, self.columns))
        x = ops.reshape(x, (-1, rows, side, columns, side * heads * depth))
        x = ops.transpose(x, (1, 0, 3, 2, 4))
        x = _swap(x, (-1, side**2, heads, depth))
        x = ops.reshape(x, (-1, columns, heads * side**2 * depth))
        x = _neighbours(x, 1, self.columns, reach, side**2 * depth)
        x = _neighbours(ops.reshape(x, (rows, -1)), 0, self.rows, reach, reach * side**2 * depth)
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


def _neighbours(x, axis: int, count, reach: int, size: int):
    """`(count·..., reach·size)`: each of the first `count` along `axis`, and the `reach - 1` after.

    `size` is the number of values of one of them that stay together.
    """
    # `ops.slice`, since TensorFlow's gradient of `x[:, a:b]` takes ten times as long on CPU.
    counts = [ops.shape(x)[k] if k != axis else count for k in range(len(x.shape))]
    starts = [[first if k == axis else 0 for k in range(len(counts))] for first in range(reach)]
    shifted = [ops.reshape(ops.slice(x, start, counts), (-1, size)) for start in starts]
    return ops.concatenate(shifted, axis=-1) if reach > 1 else shifted[0]


def _swap(x, shape):
    """Reshapes to four axes and exchanges those in the middle."""
    return ops.transpose(ops.reshape(x, shape), (0, 2, 1, 3))


def _fit(x, before: int, height, width):
    """Pads by zeros, `before` in front on both axes, and pads or cuts behind to a size."""
    batch, *have = tuple(ops.shape(x))[:3]
    after = [want - before - got for want, got in zip((height, width), have, strict=True)]
    static = all(isinstance(count, int) for count in after)
    if not static or before or max(after) > 0:
        after = [max(n, 0) if static else ops.maximum(n, 0) for n in after]
        x = ops.pad(x, [(0, 0), *((before, n) for n in after), (0, 0)])
    return ops.slice(x, (0, 0, 0, 0), (batch, height, width, x.shape[-1]))
