"""A scale-permuted network in float64 NumPy, from its published description."""

import numpy as np


def forward(model, images, blocks, activation):
    """Runs a table with a model's weights, at inference; returns `{level: feature map}`.

    Nodes are resampled, added and transformed as models of one block a node and alpha one half are;
    an output adds the earlier nodes of its level and type that nobody has read.
    """
    act = {"relu": lambda x: np.maximum(x, 0), "swish": lambda x: x / (1 + np.exp(-x))}[activation]

    def conv(x, name, strides=1, dilation=1, act=act):
        layer = model.get_layer(f"backbone_{name}")
        return act(_norm(_convolution(x, layer.conv.kernel, strides, dilation), layer.norm))

    def identity(x):
        return x

    def group(x, name, kind, rate):
        name = f"{name}_block1"
        if kind == "bottleneck":
            y = conv(conv(x, f"{name}_conv1"), f"{name}_conv2", dilation=rate)
            y = conv(y, f"{name}_conv3", act=identity)
        else:
            y = conv(x, f"{name}_conv1", dilation=rate)
            y = conv(y, f"{name}_conv2", dilation=rate, act=identity)
        if x.shape[-1] != y.shape[-1]:
            x = conv(x, f"{name}_shortcut", act=identity)
        return act(x + y)

    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    size = images.shape[1:3]
    x = conv((np.asarray(images, "float64") - mean) / std, "stem_conv", strides=2)
    nodes, kinds = [_max_pool(x)], [(2, "bottleneck")] * 2
    nodes = [group(nodes[0], "node0", "bottleneck", 1)]
    nodes.append(group(nodes[0], "node1", "bottleneck", 1))
    read, outputs = set(), {}
    for node, block in enumerate(blocks, start=2):
        total = 0
        for parent in block.parents:
            name = f"node{node}_from{parent}"
            x = conv(nodes[parent], f"{name}_reduce")
            level = kinds[parent][0]
            if level < block.level:
                x = conv(x, f"{name}_down", strides=2)
                for _ in range(block.level - level - 1):
                    x = _max_pool(x)
            elif level > block.level:
                x = nearest(x, *(-(-length // 2**block.level) for length in size))
            total = total + conv(x, f"{name}_expand", act=identity)
            read.add(parent)
        for other in range(node):
            if block.is_output and other not in read and kinds[other] == (block.level, block.type):
                total = total + nodes[other]
                read.add(other)
        nodes.append(group(act(total), f"node{node}", block.type, block.dilation))
        kinds.append((block.level, block.type))
        if block.is_output:
            outputs[block.level] = conv(nodes[node], f"p{block.level}")
    return outputs


def nearest(x, height, width):
    """Each output pixel reads the input pixel in which its centre lies."""
    rows = [int((i + 0.5) * x.shape[1] / height) for i in range(height)]
    columns = [int((j + 0.5) * x.shape[2] / width) for j in range(width)]
    return x[:, rows][:, :, columns]


def _same(x, reach, strides, fill):
    """TensorFlow's "same" padding: ceil(size / strides) outputs, the odd one out after the map."""
    paddings = [(0, 0)]
    for length in x.shape[1:3]:
        missing = max((-(-length // strides) - 1) * strides + reach - length, 0)
        paddings.append((missing // 2, missing - missing // 2))
    return np.pad(x, [*paddings, (0, 0)], constant_values=fill)


def _windows(x, taps, strides, dilation, fill):
    height, width = (-(-length // strides) for length in x.shape[1:3])
    x = _same(x, (taps - 1) * dilation + 1, strides, fill)
    for row in range(taps):
        for column in range(taps):
            top, left = row * dilation, column * dilation
            window = x[:, top : top + (height - 1) * strides + 1 : strides]
            yield row, column, window[:, :, left : left + (width - 1) * strides + 1 : strides]


def _convolution(x, kernel, strides, dilation):
    kernel = np.asarray(kernel, "float64")
    windows = _windows(x, kernel.shape[0], strides, dilation, 0.0)
    return sum(window @ kernel[row, column] for row, column, window in windows)


def _max_pool(x):
    return np.max([window for *_, window in _windows(x, 3, 2, 1, -np.inf)], axis=0)


def _norm(x, norm):
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    return (x - np.asarray(norm.moving_mean)) * scale + np.asarray(norm.beta)
