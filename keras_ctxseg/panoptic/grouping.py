"""Which thing a pixel belongs to: that whose centre lies nearest to where its offset points."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.panoptic.centers import Centers

CHUNK = 1 << 15  # pixels whose distances to all centres are in memory together


def nearest_centers(offsets, centers: Centers):
    """The number of each pixel's nearest centre, in Euclidean distance.

    Distances come out of one matrix product a chunk of pixels: |p - c|² = |p|² - 2 p·c + |c|², of
    which |p|² is the same for all centres. Places count from the image's middle, where float32 is
    finest: up to 4096 pixels a side the border between two centres is met to 0.1 pixels.

    Args:
        offsets: float32 (height, width, 2), down and right, in pixels.
        centers: of the same image.

    Returns:
        int32 (height, width), 1 ... max_instances, the place in `centers` plus 1; 0 where there
        is no centre at all.
    """
    height, width = ops.shape(offsets)[:2]
    middle = [ops.cast(side, "float32") / 2 for side in (height, width)]
    rows = ops.arange(height, dtype="float32")[:, None] - middle[0]
    columns = ops.arange(width, dtype="float32")[None, :] - middle[1]
    ones = ops.ones_like(offsets[..., 0])
    points = ops.stack([rows + offsets[..., 0], columns + offsets[..., 1], ones], axis=-1)
    points = ops.reshape(points, (-1, 3))

    places = ops.cast(centers.places, "float32") - ops.stack(middle)
    exists = ops.arange(places.shape[0], dtype="int32") < centers.count
    if keras.backend.backend() == "tensorflow":  # Run-time shapes: no work for missing centres.
        there = ops.maximum(centers.count, 1)
        places, exists = places[:there], exists[:there]
    squares = ops.where(exists, ops.sum(ops.square(places), axis=-1), float("inf"))
    matrix = ops.concatenate([-2.0 * ops.transpose(places), squares[None]], axis=0)

    def nearest(chunk):
        return first_minimum(ops.matmul(chunk, matrix))

    count = height * width
    missing = (-count) % CHUNK
    chunks = ops.reshape(ops.pad(points, ((0, missing), (0, 0))), (-1, CHUNK, 3))
    found = ops.reshape(ops.map(nearest, chunks), (-1,))[:count]
    return ops.where(centers.count > 0, ops.reshape(found, (height, width)) + 1, 0)


def first_minimum(x):
    """Index of the smallest value along the last axis, int32; of equal ones any.

    `keras.ops.argmin` first makes up for the sign of zero, in passes that take longer than the
    search.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.cast(ops.argmin(x, axis=-1), "int32")
    import tensorflow as tf

    return tf.argmin(x, axis=-1, output_type=tf.int32)
