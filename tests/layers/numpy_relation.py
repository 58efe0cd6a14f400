"""Direct float64 transcription of the relation between a pixel and its region: a loop."""

import numpy as np


def relate(low, coarse, query, key, value, embedding, window, heads, scale):
    """Context of every pixel, one pixel, head and cell at a time.

    Args:
        low: `(batch, height, width, c)`.
        coarse: `(batch, h, w, C)`.
        query: `(c, filters)`.
        key: `(C, filters)`.
        value: `(C, filters)`.
        embedding: `(heads, filters / heads, window²)`.
        window: Cells on each side.
        heads: Number of heads.
        scale: Pixels per cell on each axis.
    """
    batch, height, width, _ = low.shape
    _, rows, columns, _ = coarse.shape
    depth = query.shape[1] // heads
    output = np.zeros((batch, height, width, query.shape[1]))
    for image, i, j, head in np.ndindex(batch, height, width, heads):
        channels = slice(head * depth, (head + 1) * depth)
        q = low[image, i, j] @ query[:, channels]
        logits, values = [], []
        for offset, (a, b) in enumerate(np.ndindex(window, window)):
            u, v = i // scale + a - window // 2, j // scale + b - window // 2
            if 0 <= u < rows and 0 <= v < columns:
                k = coarse[image, u, v] @ key[:, channels] + embedding[head, :, offset]
                logits.append(q @ k / np.sqrt(depth))
                values.append(coarse[image, u, v] @ value[:, channels])
        if logits:
            weights = np.exp(np.array(logits) - max(logits))
            output[image, i, j, channels] = weights @ np.array(values) / weights.sum()
    return output


def relation_of(layer, low, coarse):
    """`relate` with a `RelationalSemanticsExtractor`'s weights."""
    return relate(
        np.asarray(low, "float64"), np.asarray(coarse, "float64"), **relation_weights(layer)
    )


def relation_weights(layer) -> dict:
    """The arguments of `relate` that a layer holds."""
    kernels = {
        name: np.asarray(getattr(layer, name).kernel, "float64")[0, 0]
        for name in ("query", "key", "value")
    }
    return {
        **kernels,
        "embedding": np.asarray(layer.embedding, "float64"),
        "window": layer.window,
        "heads": layer.heads,
        "scale": layer.scale,
    }
