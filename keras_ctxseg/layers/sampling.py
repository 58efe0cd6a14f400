"""Convolutions on resampled maps as matrix products over channels first, then over space.

A convolution of a map that is linearly resampled along each axis (shifted by an atrous rate,
upsampled bilinearly) is, with the products `z_ab = x · K[a, b]` of each pixel with each tap,

    y = Σ_ab (R_a ⊗ C_b) z_ab

where row i of `R_a` holds the weights by which source rows enter row i of what tap row a reads, and
`C_b` the same for columns. Nothing needs to be resampled before it is multiplied.
"""

from keras import ops


def sampling_matrix(size, source_size, offsets):
    """The weights of a source's positions in a bilinear resampling of it, read by several taps.

    Half-pixel centres, edges repeated, as `resize_bilinear`; taps beyond the resampled map read 0.

    Args:
        size: Positions of the resampled map, an integer or a scalar integer tensor.
        source_size: Positions of the source, likewise.
        offsets: Where each tap reads, in positions of the resampled map from its own.

    Returns:
        float32 `(size, len(offsets), source_size)`.
    """
    positions = ops.arange(size, dtype="float32")[:, None] + ops.array(offsets, "float32")
    last = ops.cast(size, "float32") - 1.0
    inside = ops.cast((positions >= 0) & (positions <= last), "float32")
    scale = ops.cast(source_size, "float32") / ops.cast(size, "float32")
    centres = ops.clip((positions + 0.5) * scale - 0.5, 0.0, ops.cast(source_size, "float32") - 1.0)
    distance = ops.abs(centres[..., None] - ops.arange(source_size, dtype="float32"))
    return ops.maximum(1.0 - distance, 0.0) * inside[..., None]


def tap_products(inputs, kernel):
    """The products of each pixel with each tap of a kernel, laid out for `sum_taps`.

    Args:
        inputs: `(batch, height, width, channels)`.
        kernel: `(rows, columns, channels, filters)`.

    Returns:
        `(batch, height, columns·width, rows·filters)`: tap columns side by side along the width,
        tap rows along the channels.
    """
    rows, columns, channels, filters = kernel.shape
    products = []
    for column in range(columns):
        taps = ops.transpose(kernel[:, column], (1, 0, 2))
        taps = ops.reshape(taps, (1, 1, channels, rows * filters))
        products.append(ops.conv(inputs, taps, padding="valid", data_format="channels_last"))
    return ops.concatenate(products, axis=2)


def sum_taps(products, rows, columns):
    """Adds up the taps' products, each resampled by the matrices of its row and column.

    Args:
        products: `(batch, h, taps·w, taps·filters)`, of `tap_products`.
        rows: `(height, taps, h)`, of `sampling_matrix`.
        columns: `(width, taps, w)`, likewise.

    Returns:
        `(batch, height, width, filters)`.
    """
    return sum_rows(sum_columns(products, columns), rows)


def sum_columns(products, columns):
    """The part of `sum_taps` along the width.

    Returns:
        `(batch, taps·h, width, filters)`.
    """
    width, taps = ops.shape(columns)[0], columns.shape[1]
    across = ops.matmul(ops.reshape(columns, (width, -1)), products)
    return ops.concatenate(ops.split(across, taps, axis=-1), axis=1)


def sum_rows(across, rows):
    """The part of `sum_taps` along the height, of what `sum_columns` returns."""
    height, taps, source = ops.shape(rows)
    width, filters = ops.shape(across)[2], across.shape[3]
    # One large product is faster than a batch of one.
    batch = () if across.shape[0] == 1 else (-1,)
    flat = ops.reshape(across, (*batch, taps * source, width * filters))
    down = ops.matmul(ops.reshape(rows, (height, -1)), flat)
    return ops.reshape(down, (-1, height, width, filters))
