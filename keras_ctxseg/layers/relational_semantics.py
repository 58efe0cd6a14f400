"""Pixel-to-region relation across scales (RSP head, arXiv 2106.01744)."""

import math

import keras
from keras import ops

# Added to the logits of cells outside the map; exp of it is 0, and it is finite, so that a window
# that lies wholly outside does not make NaN.
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

    The scale² pixels of a cell share a window, so keys and values are gathered once at the coarse
    resolution, and head by head: `window²·filters / heads` numbers per cell at a time, not per
    pixel. Slices, pads and matrix products only, tensors of at most five axes. The softmax is
    computed in float32 at least.

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
        grid = tuple(-(-length // self.scale) for length in size)
        inside = _pad_windows(ops.ones_like(coarse[:1, :, :, :1]), grid, self.window)
        inside = _gather_windows(inside, grid, self.window)
        inside = ops.reshape(inside, (1, grid[0] * grid[1], 1, self.window**2))
        precise = keras.backend.result_type(self.compute_dtype, "float32")
        outside = (1 - ops.cast(inside, precise)) * _OUTSIDE

        queries = _group_pixels(self.query(low), grid, self.scale)
        queries = queries / math.sqrt(self.filters // self.heads)
        keys, values = (
            _pad_windows(project(coarse), grid, self.window) for project in (self.key, self.value)
        )
        # Head by head, so that the windows of one head at a time are in memory.
        heads = zip(*(ops.split(x, self.heads, -1) for x in (queries, keys, values)), strict=True)
        contexts = [
            self._relate(query, key, value, self.embedding[index], outside, grid)
            for index, (query, key, value) in enumerate(heads)
        ]
        context = ops.concatenate(contexts, axis=-1)
        return _ungroup_pixels(context, size, self.scale, self.filters)

    def _relate(self, query, key, value, embedding, outside, grid):
        """The context of one head, `(pixels of all cells, depth)`, grouped by cell as `query` is.

        Inside, the axes are: image, cell (row by row), pixel of the cell or cell of the window,
        channel of the head.
        """
        positions, pixels, cells = grid[0] * grid[1], self.scale**2, self.window**2
        depth = query.shape[-1]
        keys, values = (
            ops.reshape(_gather_windows(x, grid, self.window), (-1, positions, cells, depth))
            for x in (key, value)
        )
        content = ops.einsum(
            "abcd,abed->abce", ops.reshape(query, (-1, positions, pixels, depth)), keys
        )
        # q · (k + e) as q · k + q · e: windows of keys are far larger than the logits.
        place = ops.reshape(ops.matmul(query, embedding), (-1, positions, pixels, cells))
        logits = ops.cast(content, outside.dtype) + ops.cast(place, outside.dtype) + outside
        weights = ops.cast(ops.softmax(logits, axis=-1), value.dtype)
        return ops.reshape(ops.matmul(weights, values), (-1, depth))

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


def _pad_windows(x, grid, window: int):
    """Pads by zeros, so that cell (i, j)'s window begins at row i and column j."""
    for axis in (1, 2):
        x = _pad_axis(x, axis, window // 2, grid[axis - 1] + window // 2)
    return x


def _gather_windows(x, grid, window: int):
    """What `_pad_windows` gave, `(n, h, w, c)`, to `(n, *grid, window²·c)`: windows, row by row.

    By columns first, so that a window's rows are copied whole.
    """
    (height, width), batch, channels = grid, ops.shape(x)[0], x.shape[-1]
    # `ops.slice`, since TensorFlow's gradient of `x[:, a:b]` takes ten times as long on CPU.
    counts = (batch, height + window - 1, width, channels)
    x = ops.concatenate([ops.slice(x, (0, 0, j, 0), counts) for j in range(window)], axis=-1)
    counts = (batch, height, width, window * channels)
    return ops.concatenate([ops.slice(x, (0, i, 0, 0), counts) for i in range(window)], axis=-1)


def _group_pixels(x, grid, scale: int):
    """`(n, height, width, c)` to `(n, *grid, scale, scale, c)`, with all axes but c in one."""
    for axis in (1, 2):
        x = _pad_axis(x, axis, 0, grid[axis - 1] * scale)
    channels = x.shape[-1]
    x = ops.reshape(x, (-1, scale, grid[1], scale * channels))
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, channels))


def _ungroup_pixels(x, size, scale: int, channels: int):
    """The reverse of `_group_pixels`, without what was padded."""
    height, width = (-(-length // scale) * scale for length in size)
    x = ops.reshape(x, (-1, width // scale, scale, scale * channels))
    x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, height, width, channels))
    return _slice_axis(_slice_axis(x, 1, 0, size[0]), 2, 0, size[1])


def _pad_axis(x, axis: int, before: int, end):
    """Pads by zeros: `before` in front, and behind until the old start has `end` cells after it."""
    size = x.shape[axis] if x.shape[axis] is not None else ops.shape(x)[axis]
    static = isinstance(size, int) and isinstance(end, int)
    after = max(end - size, 0) if static else ops.maximum(end - size, 0)
    if static and before == after == 0:
        return x
    paddings = [(0, 0)] * 4
    paddings[axis] = (before, after)
    return ops.pad(x, paddings)


def _slice_axis(x, axis: int, start: int, count):
    # `ops.slice`, since TensorFlow's gradient of `x[:, a:b]` takes ten times as long on CPU.
    starts, counts = [0] * 4, list(ops.shape(x))
    starts[axis], counts[axis] = start, count
    return ops.slice(x, starts, counts)
