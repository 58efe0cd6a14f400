"""The convolution of an upsampled map, mostly computed before it is upsampled."""

from keras import ops

from keras_ctxseg.layers.sampling import sampling_matrix, sum_taps, tap_products


def upsampled_convolution(coarse, kernel, size, rate=(1, 1)):
    """`convolution(resize_bilinear(coarse, size), kernel)`, zero-padded to `size`, stride 1.

    A tap's product with a pixel commutes with interpolation between pixels, so the products are
    computed at the coarse map's resolution, a sixteenth of the pixels at four times the size. What
    is left there is interpolation (see `sampling.py`), whose cost does not depend on the number of
    channels read.

    Args:
        coarse: float32 `(batch, h, w, channels)`.
        kernel: `(rows, columns, channels, filters)`, odd numbers of rows and columns.
        size: `(height, width)`, integers or scalar integer tensors.
        rate: Atrous rates `(height, width)`.

    Returns:
        `(batch, height, width, filters)`.
    """
    source = tuple(ops.shape(coarse))[1:3]
    rows, columns = (
        sampling_matrix(size[axis], source[axis], _offsets(kernel.shape[axis], rate[axis]))
        for axis in (0, 1)
    )
    return sum_taps(tap_products(coarse, kernel), rows, columns)


def costs_less(coarse_size, size, channels: int) -> bool:
    """Whether `upsampled_convolution` takes less arithmetic than the formula as written.

    Per output pixel and filter of a 3×3 kernel: 9 products a coarse pixel, three tap rows
    interpolated along a row, and the result interpolated along a column; against 9 products.
    Sizes known only at run time are taken to be at least doubled, which is where it pays.
    """
    if None in (*coarse_size, *size):
        return True
    (h, w), (height, width) = coarse_size, size
    rearranged = 9 * channels * h * w / (height * width) + 9 * w * h / height + 3 * h
    return rearranged < 9 * channels


def _offsets(taps: int, rate: int) -> list[int]:
    return [rate * (tap - taps // 2) for tap in range(taps)]
