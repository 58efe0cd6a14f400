"""Pixel-to-region relation across scales (RSP head, arXiv 2106.01744)."""

import math

import keras
from keras import ops

from keras_ctxseg.layers.cell_blocks import CellBlocks

# Added to the logits of cells outside the map. Its exp is 0, and it is finite, so that a window
# that is wholly outside does not make NaN.
_OUTSIDE = -3e4


@keras.saving.register_keras_serializable("keras_ctxseg")
class RelationalSemanticsExtractor(keras.layers.Layer):
    """Each pixel of a fine map attends to the region around its place in the next coarser map.

    With q = W_q·low[p], and k, v = W_k·coarse[c], W_v·coarse[c] for the `window`² cells c around
    p's cell, in each head of d = filters / heads channels:

        a_c = softmax over c of (q · (k_c + e_{c − cell(p)}) / √d),    context[p] = Σ_c a_c v_c

    where e is a learned embedding per head and offset, and cells outside the map take no part (they
    are masked, not zero-padded). That there is such a local relation with a positional embedding is
    stated by the paper; everything else here is ours: the multi-head softmax, windows of a constant
    number of cells, no biases, and what p's cell is when sizes are not exact multiples:

        cell(i, j) = (i // scale, j // scale)

    which is the cell of a strided convolution or pooling that maps `size` to `ceil(size / scale)`,
    and lets the last cells have fewer pixels: 13 pixels on 7 cells put one pixel on cell 6. If
    there is no such cell (15 pixels on 7 cells, as from unpadded pooling), the window is still
    centred there and sees what of it lies inside; with nothing inside the context is 0.

    The scale² pixels of a cell share a window, and the windows of 2×2 cells overlap: keys and
    values are gathered once for such a block (`CellBlocks`), `(window + 1)²·filters / 4` numbers
    per cell. The products of its pixels with cells outside their own windows are masked. Slices,
    pads, transposes and matrix products only, tensors of at most five axes. The softmax is computed
    in float32 at least.

    Args:
        filters: Channels of queries, keys, values and of the output; a multiple of `heads`.
        window: Cells on each side of the region; odd. 1 makes a control without relation: every
            pixel takes its own cell's value.
        heads: Attention heads.
        scale: Pixels of the fine map per cell of the coarse one, on each axis; 1 for maps of one
            size (a dilated backbone).

    Call arguments:
        low: Fine map `(batch, height, width, any channels)`.
        coarse: Coarse map `(batch, h, w, any channels)`; h and w are `ceil(height / scale)` and
            `ceil(width / scale)`, give or take one.

    Call returns:
        `(batch, height, width, filters)`.

    Raises:
        ValueError: If an argument is out of range, or sizes known beforehand do not go together.

    Examples:
        >>> fine, coarse = keras.Input((None, None, 256)), keras.Input((None, None, 512))
        >>> RelationalSemanticsExtractor(128)(fine, coarse).shape
        (None, None, None, 128)
    """

    def __init__(self, filters: int, window: int = 5, heads: int = 8, scale: int = 2, **kwargs):
        super().__init__(**kwargs)
        if window < 1 or window % 2 == 0:
            raise ValueError(f"`window` must be odd and positive. Received: window={window}")
        if scale < 1:
            raise ValueError(f"`scale` must be at least 1. Received: scale={scale}")
        if heads < 1 or filters < 1 or filters % heads:
            raise ValueError(
                "`filters` must be a positive multiple of `heads`. "
                f"Received: filters={filters}, heads={heads}"
            )
        self.filters = filters
        self.window = window
        self.heads = heads
        self.scale = scale
        self.query, self.key, self.value = (
            keras.layers.Conv2D(filters, 1, use_bias=False, dtype=self.dtype_policy, name=name)
            for name in ("query", "key", "value")
        )

    def build(self, low_shape, coarse_shape):
        for pixels, cells in zip(low_shape[1:3], coarse_shape[1:3], strict=True):
            if None not in (pixels, cells) and abs(-(-pixels // self.scale) - cells) > 1:
                raise ValueError(
                    f"`coarse` must have 1/{self.scale} of the height and width of `low`, rounded "
                    f"up, give or take one. Received: low {tuple(low_shape)}, "
                    f"coarse {tuple(coarse_shape)}"
                )
        self.query.build(low_shape)
        self.key.build(coarse_shape)
        self.value.build(coarse_shape)
        self.embedding = self.add_weight(
            shape=(self.heads, self.filters // self.heads, self.window**2),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="relative_embedding",
        )

    def call(self, low, coarse):
        size = tuple(ops.shape(low))[1:3]
        blocks = CellBlocks.of(size, self.scale, self.window)
        # The projections have no bias, so what is padded stays 0.
        coarse, inside = blocks.pad(coarse, ops.ones_like(coarse[..., :1]))
        queries = blocks.group_pixels(self.query(low), self.heads)
        # √d divides keys and embedding, which are smaller than queries.
        keys = blocks.windows(self.key(coarse) / self._temperature, self.heads)
        content = ops.einsum("abcd,abed->abce", queries, keys)
        # q · (k + e) as q · k + q · e: the embedding differs from cell to cell of a block.
        place = self._place(blocks, queries)
        precise = keras.backend.result_type(self.compute_dtype, "float32")
        logits = ops.cast(content, precise) + ops.cast(place, precise)
        off_the_map = 1 - ops.cast(blocks.windows(inside, heads=1), precise)
        logits = logits + _OUTSIDE * ops.reshape(off_the_map, (-1, 1, 1, blocks.cells))
        # Twice as far down, so that a window wholly off the map still has the largest logits. One
        # sum of both masks would be smaller here, and megabytes in a file of static sizes.
        logits = logits + ops.convert_to_tensor(2 * _OUTSIDE * blocks.other_windows(), precise)
        weights = ops.cast(ops.softmax(logits, axis=-1), content.dtype)
        context = ops.matmul(weights, blocks.windows(self.value(coarse), self.heads))
        return blocks.ungroup_pixels(context, size)

    @property
    def _temperature(self) -> float:
        return math.sqrt(self.filters // self.heads)

    def _place(self, blocks, queries):
        """q · e / √d, of the shape of the queries' product with the keys."""
        depth, cells = self.filters // self.heads, blocks.side**2
        offsets = ops.convert_to_tensor(blocks.offsets(), dtype=self.compute_dtype)
        embedding = ops.matmul(
            self.embedding / self._temperature, ops.reshape(offsets, (1, self.window**2, -1))
        )
        embedding = ops.reshape(embedding, (self.heads, depth, cells, blocks.cells))
        embedding = ops.transpose(embedding, (0, 2, 1, 3))
        # Heads and cells of a block first: a few large products, not one for each block.
        place = ops.matmul(
            blocks.cells_first(queries),
            ops.reshape(embedding, (self.heads * cells, depth, blocks.cells)),
        )
        return blocks.blocks_first(place, self.heads)

    def compute_output_shape(self, low_shape, coarse_shape):
        return (*low_shape[:3], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "window": self.window,
            "heads": self.heads,
            "scale": self.scale,
        }
