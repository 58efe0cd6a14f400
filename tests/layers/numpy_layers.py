"""Direct float64 transcriptions of the layers' equations, for comparison."""

import numpy as np


def atrous_convolution(x, kernel, rate=1):
    """`y[p] = Σ_t x[p + rate·t] · K[t]`, zero outside; `rate` is a number or (height, width)."""
    x, kernel = np.asarray(x, "float64"), np.asarray(kernel, "float64")
    rate_h, rate_w = (rate, rate) if isinstance(rate, int) else rate
    batch, height, width, _ = x.shape
    rows, columns = kernel.shape[:2]
    output = np.zeros((batch, height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            for a in range(rows):
                for b in range(columns):
                    u = i + (a - rows // 2) * rate_h
                    v = j + (b - columns // 2) * rate_w
                    if 0 <= u < height and 0 <= v < width:
                        output[:, i, j] += x[:, u, v] @ kernel[a, b]
    return output


def normalize(x, norm):
    """Inference form of a BatchNormalization layer with its weights."""
    gamma, beta, mean, variance = (
        np.asarray(weight, "float64")
        for weight in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    return (x - mean) * gamma / np.sqrt(variance + norm.epsilon) + beta


def norm_relu(x, norm):
    """`normalize`, then ReLU."""
    return np.maximum(normalize(x, norm), 0)


def conv_norm_act(x, layer, rate=1):
    """A `ConvNormAct` layer with its weights."""
    return norm_relu(atrous_convolution(x, layer.conv.kernel, rate), layer.norm)


def bilinear(x, height, width):
    """Half-pixel bilinear interpolation, edges repeated."""
    x = np.asarray(x, "float64")

    def line(size, new):
        place = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
        low = np.floor(place).astype(int)
        return low, np.minimum(low + 1, size - 1), place - low

    top, bottom, down = line(x.shape[1], height)
    left, right, across = line(x.shape[2], width)
    across = across[:, None]
    upper = x[:, top][:, :, left] * (1 - across) + x[:, top][:, :, right] * across
    lower = x[:, bottom][:, :, left] * (1 - across) + x[:, bottom][:, :, right] * across
    return upper * (1 - down)[:, None, None] + lower * down[:, None, None]
