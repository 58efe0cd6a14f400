"""PyTorch's networks in float64 NumPy, written down from their published definitions.

A network is a dict of arrays under PyTorch's names and in PyTorch's layout; the forward passes here
know nothing of this package. Maps are (batch, height, width, channels), for BLAS' sake.
"""

import numpy as np

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


class Weights(dict):
    """Collects random weights under their names."""

    def __init__(self, rng):
        super().__init__()
        self.rng = rng

    def conv(self, name, channels_in, channels_out, size=1, bias=False, groups=1):
        shape = (channels_out, channels_in // groups, size, size)
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        self[f"{name}.weight"] = self._normal(shape, scale)
        if bias:
            self[f"{name}.bias"] = self._normal((channels_out,), 0.3)

    def norm(self, name, channels):
        self[f"{name}.bias"] = self._uniform(channels, -0.3, 0.3)
        self[f"{name}.running_mean"] = self._uniform(channels, -0.3, 0.3)
        # Some variances are tiny, where epsilon counts; gamma brings those channels back to one.
        gamma, variance = self._uniform(channels, 0.8, 1.4), self._uniform(channels, 0.5, 1.5)
        gamma[:: max(channels // 4, 1)] *= 0.015
        variance[:: max(channels // 4, 1)] = 2e-4
        self[f"{name}.weight"] = gamma
        self[f"{name}.running_var"] = variance
        self[f"{name}.num_batches_tracked"] = np.array(7)

    def conv_norm(self, conv, norm, channels_in, channels_out, size=1, groups=1):
        self.conv(conv, channels_in, channels_out, size, groups=groups)
        self.norm(norm, channels_out)

    def linear(self, name, channels_in, channels_out):
        self[f"{name}.weight"] = self._normal((channels_out, channels_in), channels_in**-0.5)
        self[f"{name}.bias"] = self._normal((channels_out,), 0.3)

    def encoding(self, name, codes, channels):
        self[f"{name}.codewords"] = self._normal((codes, channels), 0.3)
        self[f"{name}.scale"] = self._uniform(codes, -0.05, 0.0)

    def _normal(self, shape, scale):
        return (scale * self.rng.standard_normal(shape)).astype("float32")

    def _uniform(self, size, low, high):
        return self.rng.uniform(low, high, size).astype("float32")


class Net:
    """The operations, on arrays by name."""

    def __init__(self, state, epsilon=1e-5):
        self.state, self.epsilon = state, epsilon

    def conv(self, x, name, stride=1, padding=0, dilation=1):
        kernel = self.state[f"{name}.weight"].astype("float64")
        groups = x.shape[-1] // kernel.shape[1]
        kernel = kernel.transpose(2, 3, 1, 0)
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        reach = (kernel.shape[0] - 1) * dilation
        height, width = ((length - reach - 1) // stride + 1 for length in x.shape[1:3])
        total = 0
        for row in range(kernel.shape[0]):
            for column in range(kernel.shape[1]):
                top, left = row * dilation, column * dilation
                window = x[:, top : top + (height - 1) * stride + 1 : stride]
                window = window[:, :, left : left + (width - 1) * stride + 1 : stride]
                tap = kernel[row, column]
                total = total + (window @ tap if groups == 1 else window * tap[0])
        return total + self.state.get(f"{name}.bias", 0.0)

    def norm(self, x, name):
        get = lambda word: self.state[f"{name}.{word}"].astype("float64")  # noqa: E731
        scale = get("weight") / np.sqrt(get("running_var") + self.epsilon)
        return (x - get("running_mean")) * scale + get("bias")

    def block(self, x, conv, norm, *arguments, act=True):
        x = self.norm(self.conv(x, conv, *arguments), norm)
        return np.maximum(x, 0) if act else x

    def linear(self, x, name):
        return x @ self.state[f"{name}.weight"].T.astype("float64") + self.state[f"{name}.bias"]


def max_pool(x):
    """3×3, stride 2, padding 1 of minus infinity."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    height, width = ((length - 3) // 2 + 1 for length in x.shape[1:3])
    taps = [
        x[:, row : row + 2 * height - 1 : 2, column : column + 2 * width - 1 : 2]
        for row in range(3)
        for column in range(3)
    ]
    return np.max(taps, axis=0)


def interpolate(x, height, width):
    """Bilinear, `align_corners=False`."""

    def matrix(old, new):
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, None)
        low = np.minimum(places.astype(int), old - 1)
        high, share = np.minimum(low + 1, old - 1), places - low
        weights = np.zeros((new, old))
        np.add.at(weights, (np.arange(new), low), 1 - share)
        np.add.at(weights, (np.arange(new), high), share)
        return weights

    rows, columns = matrix(x.shape[1], height), matrix(x.shape[2], width)
    return np.einsum("hi,bijc,wj->bhwc", rows, x, columns, optimize=True)


def normalized(images):
    return (images.astype("float64") / 255 - MEAN) / STD


def resnet_weights(weights, depth, stem="7x7", prefix="", names="torchvision"):
    """Adds a ResNet's; `stem` is `"7x7"` or the channels of three 3×3 in a row."""
    if stem == "7x7":
        weights.conv_norm(f"{prefix}conv1", f"{prefix}bn1", 3, 64, 7)
        channels = 64
    else:
        at = {"torchvision": ("conv1", "bn1"), "openmmlab": ("stem", "stem.7")}[names]
        layers = zip((3, *stem[:2]), stem, (0, 3, 6), strict=True)
        for channels_in, channels, index in layers:
            last = f"{prefix}{at[1]}" if index == 6 else f"{prefix}{at[0]}.{index + 1}"
            weights.conv_norm(f"{prefix}{at[0]}.{index}", last, channels_in, channels, 3)
    expansion = 4 if depth >= 50 else 1
    for layer, count in enumerate(BLOCKS[depth], start=1):
        inner = 32 * 2**layer
        for block in range(count):
            name = f"{prefix}layer{layer}.{block}"
            sizes = ((1, inner), (3, inner), (1, 4 * inner)) if depth >= 50 else ((3, inner),) * 2
            given = channels
            for number, (size, count_out) in enumerate(sizes, start=1):
                norm = f"{name}.bn{number}"
                weights.conv_norm(f"{name}.conv{number}", norm, given, count_out, size)
                given = count_out
            if channels != inner * expansion:
                down = f"{name}.downsample"
                weights.conv_norm(f"{down}.0", f"{down}.1", channels, inner * expansion)
            channels = inner * expansion


def resnet(net, x, depth, prefix="", dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2)):
    """The four stages' features; a dilated stage's first block has the dilation before it."""
    if f"{prefix}stem.0.weight" in net.state or f"{prefix}conv1.0.weight" in net.state:
        openmmlab = f"{prefix}stem.0.weight" in net.state
        at, last = ("stem", "stem.7") if openmmlab else ("conv1", "bn1")
        for index in (0, 3, 6):
            norm = f"{prefix}{last}" if index == 6 else f"{prefix}{at}.{index + 1}"
            x = net.block(x, f"{prefix}{at}.{index}", norm, 2 if index == 0 else 1, 1)
    else:
        x = net.block(x, f"{prefix}conv1", f"{prefix}bn1", 2, 3)
    x, features, before = max_pool(x), [], 1
    stages = zip(BLOCKS[depth], dilations, strides, strict=True)
    for layer, (count, dilation, stride) in enumerate(stages, start=1):
        for block in range(count):
            name, step = f"{prefix}layer{layer}.{block}", stride if block == 0 else 1
            rate = before if block == 0 else dilation
            y = x
            if depth >= 50:
                y = net.block(y, f"{name}.conv1", f"{name}.bn1")
                y = net.block(y, f"{name}.conv2", f"{name}.bn2", step, rate, rate)
                y = net.block(y, f"{name}.conv3", f"{name}.bn3", act=False)
            else:
                y = net.block(y, f"{name}.conv1", f"{name}.bn1", step, 1)
                y = net.block(y, f"{name}.conv2", f"{name}.bn2", 1, 1, act=False)
            if f"{name}.downsample.0.weight" in net.state:
                down = f"{name}.downsample"
                x = net.block(x, f"{down}.0", f"{down}.1", step, act=False)
            x = np.maximum(x + y, 0)
        features.append(x)
        before = dilation
    return features


def encode(x, codewords, scale):
    """EncNet's layer, residual by residual."""
    x = x.reshape(x.shape[0], -1, 1, x.shape[-1])
    residuals = x - codewords.astype("float64")
    logits = scale * (residuals**2).sum(-1)
    logits -= logits.max(-1, keepdims=True)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return (shares[..., None] * residuals).sum(1)
