"""The convolution of an upsampled map beside a fine one, mostly computed before upsampling."""

from keras import ops

from keras_ctxseg.layers.atrous_conv import AtrousConv2D
from keras_ctxseg.layers.rearranged_arithmetic import current_rearrangement
from keras_ctxseg.layers.resize import resize_bilinear
from keras_ctxseg.layers.sampling import sampling_matrix, sum_taps, tap_products


def beside_upsampled(fine, coarse):
    """`concatenate([resize_bilinear(coarse), fine])`, at the fine map's size."""
    return ops.concatenate([resize_bilinear(coarse, _size(fine)), fine], axis=-1)


def conv_norm_beside_upsampled(conv, norm, fine, coarse, training):
    """`norm(conv(beside_upsampled(fine, coarse)))`, without the upsampled map.

    Where it `applies`, most of the arithmetic is done at the coarse map's resolution.

    Args:
        conv: An `AtrousConv2D` without bias.
        norm: A `BatchNorm`.
        fine: `(batch, height, width, channels)`.
        coarse: `(batch, h, w, others)`.
        training: Whether the batch's own statistics normalise.

    Returns:
        `(batch, height, width, filters)`.
    """

    def convolved(kernel):
        of_fine = conv.convolution_op(fine, kernel[:, :, coarse.shape[-1] :])
        of_coarse = upsampled_convolution(
            coarse, kernel[:, :, : coarse.shape[-1]], _size(fine), conv.dilation_rate
        )
        return of_fine, of_coarse

    kernel = ops.convert_to_tensor(conv.kernel)
    if training and norm.trainable:
        of_fine, of_coarse = convolved(kernel)
        return norm(of_fine + of_coarse, training=True)
    # As a part of the kernel the normalisation's scale costs nothing at the fine resolution.
    scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
    of_fine, of_coarse = convolved(kernel * scale)
    return of_fine + (norm.beta - norm.moving_mean * scale) + of_coarse


def applies(conv, fine, coarse) -> bool:
    """Whether `conv_norm_beside_upsampled` takes this convolution, and saves arithmetic.

    Half precision would round more often, so there the formula is computed as written.
    """
    return (
        current_rearrangement() == "full"
        and isinstance(conv, AtrousConv2D)
        and conv.compute_dtype == "float32"
        and tuple(conv.strides) == (1, 1)
        and costs_less(coarse.shape[1:3], fine.shape[1:3], coarse.shape[-1])
    )


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


def _size(maps):
    return tuple(ops.shape(maps))[1:3]
