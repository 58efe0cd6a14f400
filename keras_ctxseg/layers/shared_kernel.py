"""One 3×3 kernel at many atrous rates, by as many convolutions or by one product."""

import itertools

import keras
from keras import ops

from keras_ctxseg.layers.atrous_conv import atrous_convolution
from keras_ctxseg.layers.rearranged_arithmetic import current_rearrangement
from keras_ctxseg.layers.sampling import (
    sampling_matrix,
    sum_columns,
    sum_rows,
    sum_taps,
    tap_products,
)

# One shifted addition moves about as many bytes as this many multiply-adds take time (measured on
# CPU: 4 rates, 256 filters, 33×33 and 65×65 maps, 320 and 2048 input channels).
_MULTIPLY_ADDS_PER_SHIFT = 150
# Up to this size a matrix product over space costs less than nine shifted additions.
_LARGEST_FOR_MATRICES = 112


def shared_atrous_convolutions(inputs, kernel, rates, form: str = "auto"):
    """Convolves one feature map with one 3×3 kernel at several atrous rates.

    The nine products of a pixel with the kernel's taps do not depend on the rate:

        y_r[p] = Σ_t x[p + r·t] · K[t] = Σ_t z_t[p + r·t],   z_t = x · K[t],   t in {-1, 0, 1}²

    so the `"product"` form computes all z_t once, as a 1×1 convolution to nine times the filters,
    and each rate is nine shifted additions: the arithmetic of one convolution for any number of
    rates. On maps of common size the additions are two matrix products over space, with ones where
    a shift puts a pixel (see `sampling.py`): large operations for many small ones, in the gradient
    too. The `"direct"` form is one atrous convolution a rate. All are the same mathematics.

    Args:
        inputs: `(batch, height, width, channels)`.
        kernel: `(3, 3, channels, filters)`.
        rates: Atrous rates: integers or `(height, width)` pairs; 0 reads the target pixel only.
        form: `"direct"`, `"product"`, or `"auto"`: the cheaper one by shape.

    Returns:
        A list with one `(batch, height, width, filters)` tensor a rate.
    """
    rates = [(rate, rate) if isinstance(rate, int) else tuple(rate) for rate in rates]
    if form == "auto":
        form = _allowed(cheaper_form(inputs.shape[-1], len(rates)))
    if form == "direct" and all(min(rate) > 0 for rate in rates):
        return [atrous_convolution(inputs, kernel, rate) for rate in rates]
    if form not in ("direct", "product"):
        raise ValueError(f"`form` must be 'auto', 'direct' or 'product'. Received: form={form!r}")
    if not _uses_matrices(inputs):
        return _by_product(inputs, kernel, rates)
    products = tap_products(inputs, kernel)
    return [
        sum_taps(products, _shifts(inputs, 1, rate_h), _shifts(inputs, 2, rate_w))
        for rate_h, rate_w in rates
    ]


def shared_atrous_grid(inputs, kernel, rates, form: str = "auto"):
    """Convolves one feature map with one 3×3 kernel at every pair of a grid of rates.

    Rows and columns of the kernel shift separately, so the `"product"` form adds up the columns
    once for each rate and shares them among all pairs with that rate across:

        u_(a, r)[p] = Σ_b z_(a, b)[p + (0, b·r)],   y_(r, r')[p] = Σ_a u_(a, r')[p + (a·r, 0)]

    with `a` and `b` in {-1, 0, 1} and the nine products z of `shared_atrous_convolutions`: 9·R +
    3·R² slices to add for R² outputs, where each pair by itself would take 9·R².

    Args:
        inputs: `(batch, height, width, channels)`.
        kernel: `(3, 3, channels, filters)`.
        rates: R atrous rates; 0 reads the target pixel only.
        form: `"direct"`, `"product"`, or `"auto"`: the cheaper one by shape.

    Returns:
        A list of R² maps `(batch, height, width, filters)`, of the rates (height, width) in the
        order of `itertools.product(rates, rates)`.
    """
    if form == "auto":
        additions = 9 * len(rates) + 3 * len(rates) ** 2
        form = _allowed(cheaper_form(inputs.shape[-1], len(rates) ** 2, additions))
    if form != "product":
        return shared_atrous_convolutions(inputs, kernel, itertools.product(rates, repeat=2), form)
    if _uses_matrices(inputs):
        return _grid_by_matrices(inputs, kernel, rates)
    products = _products(inputs, kernel)
    by_columns = {
        (row, rate): _shifted_sum(products[3 * row : 3 * row + 3], (0, rate))
        for row in range(3)
        for rate in set(rates)
    }
    return [
        _shifted_sum([by_columns[row, rate_w] for row in range(3)], (rate_h, 0))
        for rate_h, rate_w in itertools.product(rates, repeat=2)
    ]


def cheaper_form(channels: int, num_rates: int, additions: int | None = None) -> str:
    """Names the form that costs less, counting a shifted addition as so many multiply-adds.

    A pixel and filter cost `9·rates·channels` directly and `9·channels + additions·shift` by the
    product, with 9 additions a rate unless said otherwise.
    """
    additions = 9 * num_rates if additions is None else additions
    saved = 9 * (num_rates - 1) * channels
    return "product" if saved > additions * _MULTIPLY_ADDS_PER_SHIFT else "direct"


def _allowed(form: str) -> str:
    return "direct" if current_rearrangement() == "none" else form


def _uses_matrices(inputs) -> bool:
    return (
        current_rearrangement() == "full"
        # Half precision would round the sums over columns before they are added.
        and keras.backend.standardize_dtype(inputs.dtype) == "float32"
        and all(size is None or size <= _LARGEST_FOR_MATRICES for size in inputs.shape[1:3])
    )


def _shifts(inputs, axis: int, rate: int):
    """Where the three taps of a rate read along an axis, as a matrix."""
    size = ops.shape(inputs)[axis]
    return sampling_matrix(size, size, (-rate, 0, rate))


def _grid_by_matrices(inputs, kernel, rates):
    products = tap_products(inputs, kernel)
    rows = ops.concatenate([_shifts(inputs, 1, rate) for rate in rates], axis=0)
    by_columns = [
        # All rates down at once, as one product.
        ops.split(
            sum_rows(sum_columns(products, _shifts(inputs, 2, rate)), rows), len(rates), axis=1
        )
        for rate in rates
    ]
    return [maps[row] for row in range(len(rates)) for maps in by_columns]


def _products(inputs, kernel):
    """The product of each pixel with each of the nine taps, row by row."""
    height, width, channels, filters = kernel.shape
    taps = height * width
    # (3, 3, channels, filters) -> (1, 1, channels, 9·filters), tap by tap.
    flat = ops.transpose(ops.reshape(kernel, (taps, channels, filters)), (1, 0, 2))
    flat = ops.reshape(flat, (1, 1, channels, taps * filters))
    return ops.split(ops.conv(inputs, flat, data_format="channels_last"), taps, axis=-1)


def _by_product(inputs, kernel, rates):
    taps = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    products = _products(inputs, kernel)
    outputs = []
    for rate_h, rate_w in rates:
        shifted = (
            shift(product, row * rate_h, column * rate_w)
            for product, (row, column) in zip(products, taps, strict=True)
        )
        outputs.append(_sum([part for part in shifted if part is not None]))
    return outputs


def _shifted_sum(parts, rate):
    """Adds three maps, the first shifted by `-rate` and the last by `rate` (height, width)."""
    shifted = (
        shift(part, tap * rate[0], tap * rate[1])
        for part, tap in zip(parts, (-1, 0, 1), strict=True)
    )
    return _sum([part for part in shifted if part is not None])


def shift(x, down: int, right: int):
    """`y[p] = x[p + (down, right)]`, zero outside; `None` if all is known to be outside."""
    height, width = x.shape[1:3]
    if (height is not None and abs(down) >= height) or (width is not None and abs(right) >= width):
        return None
    # Only what stays inside is copied: at large rates that is a small part of the map.
    for axis, offset in ((1, down), (2, right)):
        if offset:
            x = _shift_axis(x, axis, offset)
    return x


def _shift_axis(x, axis: int, offset: int):
    size = x.shape[axis]
    if size is None:
        size = ops.shape(x)[axis]
        kept = ops.maximum(size - abs(offset), 0)
    else:
        kept = size - abs(offset)
    missing = size - kept
    inside = slice(missing, None) if offset > 0 else slice(None, kept)
    paddings = [(0, 0)] * 4
    paddings[axis] = (0, missing) if offset > 0 else (missing, 0)
    return ops.pad(x[:, inside] if axis == 1 else x[:, :, inside], paddings)


def _sum(tensors):
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


@keras.saving.register_keras_serializable("keras_ctxseg")
class SharedKernelConv(keras.layers.Layer):
    """A 3×3 convolution kernel, created once and applied at every rate (KSAC, arXiv 1908.09443).

    Args:
        filters: Output channels of each rate.
        rates: Atrous rates.
        form: See `shared_atrous_convolutions`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Call returns:
        A list with one `(batch, height, width, filters)` tensor a rate.
    """

    def __init__(self, filters: int, rates, form: str = "auto", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.rates = list(rates)
        self.form = form

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(3, 3, input_shape[-1], self.filters), initializer="he_normal", name="kernel"
        )

    def call(self, inputs):
        return shared_atrous_convolutions(inputs, self.kernel, self.rates, self.form)

    def compute_output_shape(self, input_shape):
        return [(*input_shape[:3], self.filters) for _ in self.rates]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "rates": self.rates,
            "form": self.form,
        }
