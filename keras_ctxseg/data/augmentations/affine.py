"""Rotation, shear and shift as one matrix, so that pixels are interpolated once."""

import math

import tensorflow as tf

from keras_ctxseg.data.augmentations.padding import OUTSIDE
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
    # The operation wants x before y.
    coefficients = tf.stack([
        linear[1, 1], linear[1, 0], shift[1], linear[0, 1], linear[0, 0], shift[0], 0.0, 0.0,
    ])  # fmt: skip

    def sample(source, interpolation, fill_mode):
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=source[None],
            transforms=coefficients[None],
            output_shape=tf.stack(crop),
            fill_value=float(OUTSIDE),
            interpolation=interpolation,
            fill_mode=fill_mode,
        )[0]

    image = sample(tf.cast(image, tf.float32), "BILINEAR", "NEAREST")
    return image, sample(label[..., None], "NEAREST", "CONSTANT")[..., 0]


def _axis_map(axis, mirrored):
    """Step and offset from a place in the crop to the place in the source that it shows."""
    step = tf.cast(axis.length, tf.float32) / tf.cast(axis.shown, tf.float32)
    start, shown, before = (
        tf.cast(value, tf.float32) for value in (axis.start, axis.shown, axis.before)
    )
    straight = step * (0.5 - before) + start - 0.5
    turned = step * (shown - 0.5 + before) + start - 0.5
    return tf.where(mirrored, -step, step), tf.where(mirrored, turned, straight)
