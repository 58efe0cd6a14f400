"""Rotation, shear and shift as one matrix, so that pixels are interpolated once."""

import math

import tensorflow as tf

from keras_ctxseg.data.augmentations.example import OUTSIDE
from keras_ctxseg.data.augmentations.window import Window

# A matrix is float32 (2, 3): it takes a pixel's place (row, column, 1), measured from the crop's
# centre, to the place whose content it shows.


def identity() -> tf.Tensor:
    return tf.eye(2, 3)


def compose(first: tf.Tensor, then: tf.Tensor) -> tf.Tensor:
    """The matrix of both: the picture that `first` makes, changed by `then`."""
    return tf.concat([first[:, :2] @ then[:, :2], first[:, :2] @ then[:, 2:] + first[:, 2:]], 1)


def rotation(degrees: tf.Tensor | float) -> tf.Tensor:
    """Turns the picture counterclockwise about the crop's centre."""
    angle = tf.convert_to_tensor(degrees, tf.float32) * (math.pi / 180)
    return matrix(
        [tf.cos(angle), tf.sin(angle), 0.0], [-tf.sin(angle), tf.cos(angle), 0.0]
    )  # rows run downwards


def matrix(rows: list, columns: list) -> tf.Tensor:
    """From the coefficients of row, column and 1."""
    return tf.stack([tf.stack(rows), tf.stack(columns)])


def show_transformed(image, label, window: Window, mirrored, transform):
    """The window after `transform`, in one step from source to crop, on the half-pixel grid.

    What the turned crop's corners reach beyond the window is shown as far as the image goes;
    beyond the image, labels are `OUTSIDE` and the image repeats its edge.

    Args:
        image: `(height, width, 3)`; read bilinearly.
        label: int32 `(height, width)`; read at the nearest pixel.
        window: what would be shown without `transform`.
        mirrored: boolean scalar, left and right changed in the window.
        transform: a matrix.

    Returns:
        float32 `(*crop, 3)` and int32 `crop`.
    """
    crop = [axis.before + axis.shown + axis.after for axis in window]
    center = (tf.cast(tf.stack(crop), tf.float32) - 1) / 2
    # From the crop to the source: first the transform about the centre ...
    shift = transform[:, 2] + center - tf.linalg.matvec(transform[:, :2], center)
    # ... then, axis by axis, source = step * place + offset.
    steps, offsets = zip(
        _axis_map(window.rows, False), _axis_map(window.columns, mirrored), strict=True
    )
    linear = tf.stack(steps)[:, None] * transform[:, :2]
    shift = tf.stack(steps) * shift + tf.stack(offsets)
    # Only what the crop reaches is read: images may be far larger.
    first, last = _reach(linear, shift, crop, tf.shape(label))
    shift -= tf.cast(first, tf.float32)
    # The operation wants x before y.
    coefficients = tf.stack([
        linear[1, 1], linear[1, 0], shift[1], linear[0, 1], linear[0, 0], shift[0], 0.0, 0.0,
    ])  # fmt: skip

    def sample(source, dtype, interpolation, fill_mode):
        source = source[first[0] : last[0], first[1] : last[1]]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(source, dtype)[None],
            transforms=coefficients[None],
            output_shape=tf.stack(crop),
            fill_value=float(OUTSIDE),
            interpolation=interpolation,
            fill_mode=fill_mode,
        )[0]

    channels = image.shape[-1]
    image = sample(image, tf.float32, "BILINEAR", "NEAREST")
    image = tf.ensure_shape(image, (None, None, channels))
    return image, sample(label[..., None], tf.int32, "NEAREST", "CONSTANT")[..., 0]


def _reach(linear, shift, crop, size):
    """First and last (exclusive) row and column of the source that the crop shows, and one more."""
    rows, columns = (tf.cast(side - 1, tf.float32) for side in crop)
    corners = tf.stack([tf.zeros(2), [rows, 0.0], [0.0, columns], [rows, columns]], 1)
    places = linear @ corners + shift[:, None]
    first = tf.cast(tf.floor(tf.reduce_min(places, 1)), tf.int32) - 1
    last = tf.cast(tf.math.ceil(tf.reduce_max(places, 1)), tf.int32) + 2
    first = tf.clip_by_value(first, 0, size - 1)
    return first, tf.clip_by_value(last, first + 1, size)


def _axis_map(axis, mirrored):
    """Step and offset from a place in the crop to the place in the source that it shows."""
    step = tf.cast(axis.length, tf.float32) / tf.cast(axis.shown, tf.float32)
    start, shown, before = (
        tf.cast(value, tf.float32) for value in (axis.start, axis.shown, axis.before)
    )
    straight = step * (0.5 - before) + start - 0.5
    turned = step * (shown - 0.5 + before) + start - 0.5
    return tf.where(mirrored, -step, step), tf.where(mirrored, turned, straight)
