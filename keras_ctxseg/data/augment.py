"""Augmentation of one example, decided wholly by the seed that comes with it.

tf-models' `preprocess_ops.resize_and_crop_image`, `random_horizontal_flip` and `color_jitter` draw
from stateful generators: what an example becomes then depends on how many came before it, and a
resumed run or a parallel `map` cannot repeat it. Hence these, on stateless random numbers.
"""

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import AugmentationConfig

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def augment(
    image: tf.Tensor,
    label: tf.Tensor,
    seed: tf.Tensor,
    config: AugmentationConfig,
    ignore_label: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale, crop, flip, recolour and pad an example that already has `config.image_scale`.

    Args:
        image: `(height, width, 3)` RGB in 0 ... 255.
        label: int32 `(height, width)`.
        seed: integer `(2,)`; the same seed gives the same result.
        config: what to do.
        ignore_label: the id of padding.

    Returns:
        float32 `(*config.crop_size, 3)` in 0 ... 255 and int32 `config.crop_size`.
    """
    random = tf.unstack(tf.random.stateless_uniform([8], seed, alg="philox"))
    low, high = config.scale_range
    scale = low + (high - low) * random[0]
    rows = _plan_axis(tf.shape(label)[0], config.crop_size[0], scale, random[1])
    columns = _plan_axis(tf.shape(label)[1], config.crop_size[1], scale, random[2])
    image, label = _crop(image, rows, columns), _crop(label, rows, columns)
    if config.flip:  # here, where pixels are few and small
        image, label = tf.cond(
            random[3] < 0.5,
            lambda: (tf.reverse(image, [1]), tf.reverse(label, [1])),
            lambda: (image, label),
        )
    image, label = _resize_window(image, label, (rows["shown"], columns["shown"]))
    image = _recolor(image, random[4:8], config)
    return _pad(image, label, rows, columns, config, ignore_label)


def _plan_axis(size, crop, scale, random) -> dict[str, tf.Tensor]:
    """Which pixels of an axis are shown, how large, and where in the crop.

    Where the scaled image is larger than the crop, a window of it is shown, otherwise all of it
    with padding around; `random`, in 0 ... 1, places the one or the other. What lies outside the
    window is never computed.
    """

    def place(spare):
        return tf.minimum(tf.cast(random * tf.cast(spare + 1, tf.float32), tf.int32), spare)

    window = tf.maximum(tf.cast(tf.round(crop / scale), tf.int32), 1)
    scaled = tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32)
    fits = window <= size
    length = tf.minimum(window, size)
    shown = tf.where(fits, crop, tf.clip_by_value(scaled, 1, crop))
    before = place(crop - shown)
    return {
        "start": place(size - length),
        "length": length,
        "shown": shown,
        "padding": tf.stack([before, crop - shown - before]),
    }


def _crop(tensor, rows, columns):
    return tensor[
        rows["start"] : rows["start"] + rows["length"],
        columns["start"] : columns["start"] + columns["length"],
    ]


def _resize_window(image, label, size):
    image = tf.image.resize(image, size, "bilinear")
    label = tf.image.resize(label[..., None], size, "nearest")[..., 0]
    return image, label


def _recolor(image, random, config):
    """Brightness, contrast and saturation as one linear map, then hue; clipped to 0 ... 255."""

    def factor(number, strength):
        return 1 + strength * (2 * number - 1)

    if config.brightness or config.contrast or config.saturation:
        brightness = factor(random[0], config.brightness)
        contrast = factor(random[1], config.contrast)
        saturation = factor(random[2], config.saturation)
        # Grey stays grey, so the mean that contrast keeps may be added after the saturation.
        grey = tf.repeat(tf.constant(_LUMA)[:, None], 3, axis=1)
        matrix = brightness * contrast * (saturation * tf.eye(3) + (1 - saturation) * grey)
        mean = (1 - contrast) * brightness * tf.reduce_mean(image)
        pixels = tf.matmul(tf.reshape(image, (-1, 3)), matrix) + mean
        image = tf.clip_by_value(tf.reshape(pixels, tf.shape(image)), 0.0, 255.0)
    if config.hue:
        image = 255 * tf.image.adjust_hue(image / 255, config.hue * (2 * random[3] - 1))
        image = tf.clip_by_value(image, 0.0, 255.0)
    return image


def _pad(image, label, rows, columns, config, ignore_label):
    paddings = tf.stack([rows["padding"], columns["padding"]])

    def pad():
        outside = tf.pad(tf.zeros_like(label, tf.float32), paddings, constant_values=1.0)
        filling = outside[..., None] * tf.constant(config.pad_value, tf.float32)
        padded = tf.pad(image, tf.concat([paddings, [[0, 0]]], 0)) + filling
        return padded, tf.pad(label, paddings, constant_values=ignore_label)

    image, label = tf.cond(tf.reduce_any(paddings > 0), pad, lambda: (image, label))
    return tf.ensure_shape(image, (*config.crop_size, 3)), tf.ensure_shape(label, config.crop_size)
