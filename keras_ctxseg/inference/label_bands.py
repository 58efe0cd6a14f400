"""Labels of all pixels without the logits of all pixels: upsampling and argmax, band by band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

BAND_BYTES = 2**22  # of logits that are in memory together; more leave the processor's cache


class Labels(NamedTuple):
    """Of each pixel the class of the largest logit, and its softmax.

    Attributes:
        labels: (batch, height, width) int32.
        scores: (batch, height, width) float32, 0 ... 1.
    """

    labels: tf.Tensor
    scores: tf.Tensor


def banded_labels(logits: tf.Tensor, sizes: Sequence[tf.Tensor]) -> Labels:
    """Resizes logits to one size after another, and takes the largest, a band of rows at a time.

    Each resizing is bilinear with half-pixel centres, by the same operations in the same order as
    `tf.image.resize`: the labels are those of the resized logits (where two classes differ by more
    than rounding). Beside the result, logits of one band are in memory, whatever the size.

    Args:
        logits: (batch, h, w, classes) float32.
        sizes: (2,) int32 each, height and width; the last one is the result's. May be empty.
    """
    levels = [_Level(logits, tf.shape(logits)[1:3])]
    for size in sizes:
        levels.append(_Level(levels[-1], size))
    height, width = tf.unstack(levels[-1].size)
    batch, classes = tf.shape(logits)[0], tf.shape(logits)[-1]
    row_bytes = 4 * tf.cast(batch * width * classes, tf.int64)
    rows = tf.cast(BAND_BYTES // tf.maximum(row_bytes, 1), tf.int32)
    rows = tf.clip_by_value(rows, 1, tf.maximum(height, 1))
    bands = (height + rows - 1) // rows

    def next_band(index, labels, scores):
        # The last band begins where it is as high as the others.
        first = tf.minimum(index * rows, height - rows)
        band = levels[-1].rows(first, first + rows)
        fresh = index * rows - first
        found = _decide(band)
        return (
            index + 1,
            labels.write(index, _rows_first(found.labels)[fresh:]),
            scores.write(index, _rows_first(found.scores)[fresh:]),
        )

    def array(dtype):
        return tf.TensorArray(
            dtype, bands, infer_shape=False, element_shape=(None, logits.shape[0], None)
        )

    _, labels, scores = tf.while_loop(
        lambda index, *_: index < bands,
        next_band,
        (0, array(tf.int32), array(tf.float32)),
        parallel_iterations=1,
    )
    return Labels(_rows_first(labels.concat()), _rows_first(scores.concat()))


class _Level:
    """Logits at one size, of which any rows can be had."""

    def __init__(self, source: tf.Tensor | _Level, size: tf.Tensor):
        self.size = size
        self._source = source
        if isinstance(source, _Level):
            self._down = _taps(source.size[0], size[0])
            self._across = _taps(source.size[1], size[1])

    def rows(self, first: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """(batch, end - first, width, classes)."""
        if not isinstance(self._source, _Level):
            return self._source[:, first:end]
        low, high, share = (values[first:end] for values in self._down)
        top = low[0]
        source = self._source.rows(top, high[-1] + 1)
        # Across first, then down, as TensorFlow's kernel does.
        source = _interpolate(source, self._across, axis=2)
        return _interpolate(source, (low - top, high - top, share), axis=1)


def _taps(source: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """For each place of the result the two that it lies between, and how far it is to the second.

    In float32 and in the kernel's order of operations, so that no more than the last bit differs.
    """
    scale = tf.cast(source, tf.float32) / tf.cast(target, tf.float32)
    centres = (tf.cast(tf.range(target), tf.float32) + 0.5) * scale - 0.5
    floor = tf.floor(centres)
    low = tf.maximum(tf.cast(floor, tf.int32), 0)
    high = tf.minimum(tf.cast(tf.math.ceil(centres), tf.int32), source - 1)
    return low, high, centres - floor


def _interpolate(x: tf.Tensor, taps, axis: int) -> tf.Tensor:
    low, high, share = taps
    share = tf.reshape(share, (-1, 1, 1) if axis == 1 else (-1, 1))

    def between():
        first = tf.gather(x, low, axis=axis)
        return first + (tf.gather(x, high, axis=axis) - first) * share

    unchanged = tf.reduce_all(tf.equal(share, 0.0)) & tf.equal(tf.shape(low)[0], tf.shape(x)[axis])
    result = tf.cond(unchanged, lambda: tf.identity(x), between)
    result.set_shape((x.shape[0], None, None, x.shape[3]))
    return result


def _decide(logits: tf.Tensor) -> Labels:
    labels = tf.argmax(logits, axis=-1, output_type=tf.int32)
    largest = tf.reduce_max(logits, axis=-1, keepdims=True)
    # The largest softmax, without the other classes' ones.
    return Labels(labels, 1.0 / tf.reduce_sum(tf.exp(logits - largest), axis=-1))


def _rows_first(maps: tf.Tensor) -> tf.Tensor:
    """Exchanges batch and rows."""
    return tf.transpose(maps, (1, 0, 2))
