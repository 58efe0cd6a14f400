"""Scale and crop: which pixels are shown, how large, where in the crop, and the padding around.

`plan_varied_window` caps one class's share of a crop (`cat_max_ratio` in mmsegmentation).
"""

from typing import NamedTuple

import tensorflow as tf

from keras_ctxseg.data.augmentations.example import OUTSIDE, class_counts, select


class Axis(NamedTuple):
    """One axis of a window; integer scalars, in pixels.

    Attributes:
        start, length: the window, in the source image.
        shown: its length after resizing.
        before, after: padding around that.
    """

    start: tf.Tensor
    length: tf.Tensor
    shown: tf.Tensor
    before: tf.Tensor
    after: tf.Tensor


class Window(NamedTuple):
    """Rows and columns of what is shown."""

    rows: Axis
    columns: Axis

    def cut(self, tensor: tf.Tensor) -> tf.Tensor:
        """The window's pixels of `(height, width, ...)`."""
        rows, columns = self
        return tensor[
            rows.start : rows.start + rows.length, columns.start : columns.start + columns.length
        ]

    @property
    def shown(self) -> tuple[tf.Tensor, tf.Tensor]:
        return self.rows.shown, self.columns.shown

    @property
    def paddings(self) -> tf.Tensor:
        """int32 `(2, 2)`, as `tf.pad` takes it."""
        return tf.stack([tf.stack(axis[3:]) for axis in self])


def plan_window(source, crop, scale, place) -> Window:
    """Plans a crop of an image that is scaled first.

    Args:
        source: int32 `(2,)`, the image's height and width.
        crop: height and width to fill; integers or int32 scalars.
        scale: float32 scalar.
        place: float32 `(2,)` in 0 ... 1, which place of all possible ones.
    """
    return Window(*(plan_axis(source[i], crop[i], scale, place[i]) for i in range(2)))


def plan_axis(size, crop, scale, place) -> Axis:
    """Where the scaled image is larger than the crop, a window of it is shown, otherwise all of it
    with padding around; `place` places the one or the other. What lies outside the window is never
    computed.
    """

    def spread(spare):
        return tf.minimum(tf.cast(place * tf.cast(spare + 1, tf.float32), tf.int32), spare)

    window = tf.maximum(tf.cast(tf.round(tf.cast(crop, tf.float32) / scale), tf.int32), 1)
    scaled = tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32)
    fits = window <= size
    length = tf.minimum(window, size)
    shown = tf.where(fits, crop, tf.clip_by_value(scaled, 1, crop))
    before = spread(crop - shown)
    return Axis(spread(size - length), length, shown, before, crop - shown - before)


def pad(image: tf.Tensor, label: tf.Tensor, paddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sets image and label into their crop; the label around is `OUTSIDE`.

    Args:
        image: float32 `(height, width, 3)`.
        label: int32 `(height, width)`.
        paddings: int32 `(2, 2)`, rows and columns, before and after.
    """

    def padded():
        around = tf.concat([paddings, [[0, 0]]], 0)
        padded = tf.ensure_shape(tf.pad(image, around), (None, None, image.shape[-1]))
        return padded, tf.pad(label, paddings, constant_values=OUTSIDE)

    return tf.cond(tf.reduce_any(paddings > 0), padded, lambda: (image, label))


def fill_outside(
    image: tf.Tensor, label: tf.Tensor, color: tuple[float, float, float], ignore_label: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gives pixels with the label `OUTSIDE` their colour (RGB in 0 ... 255) and ignore label.

    In images of other channels every channel gets the colour's mean.
    """
    outside = label == OUTSIDE
    channels = image.shape[-1]
    fill = color if channels == 3 else (sum(color) / 3,) * channels

    def filled():
        return (
            select(outside, tf.constant(fill, tf.float32), image),
            tf.where(outside, ignore_label, label),
        )

    return tf.cond(tf.reduce_any(outside), filled, lambda: (image, label))


ATTEMPTS = 10


def largest_share(label: tf.Tensor, ignore_label: int) -> tf.Tensor:
    """Share of the commonest class among the labelled pixels; 1 where no pixel is labelled."""
    counts = class_counts(label, ignore_label)
    total = tf.reduce_sum(counts)
    return tf.where(total > 0, tf.reduce_max(counts) / total, 1.0)


def plan_varied_window(label, crop, scale, places, max_share: float, ignore_label: int) -> Window:
    """The first of the windows in which no class has a share of `max_share` or more, or the last.

    Shares are of the window's pixels in the source.

    Args:
        label: int32 `(height, width)`.
        crop: height and width to fill.
        scale: float32 scalar.
        places: float32 `(attempts, 2)` in 0 ... 1, see `plan_window`.
        max_share: in 0 ... 1.
        ignore_label: the id that does not count.
    """

    def plan(attempt):
        return plan_window(tf.shape(label), crop, scale, places[attempt])

    def is_refused(attempt):
        share = largest_share(plan(attempt).cut(label), ignore_label)
        return tf.logical_and(attempt < places.shape[0] - 1, share >= max_share)

    return plan(tf.while_loop(is_refused, lambda attempt: [attempt + 1], [0])[0])
