"""Brightness, contrast, saturation and hue."""

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import AugmentationConfig

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def recolor(image: tf.Tensor, random: list[tf.Tensor], config: AugmentationConfig) -> tf.Tensor:
    """Brightness, contrast and saturation as one linear map, then hue; clipped to 0 ... 255.

    Args:
        image: float32 `(height, width, channels)` in 0 ... 255; of other channels than RGB only
            brightness and contrast change.
        random: four numbers in 0 ... 1.
        config: the strengths.
    """

    def factor(number, strength):
        return 1 + strength * (2 * number - 1)

    if image.shape[-1] != 3:
        brightness = factor(random[0], config.brightness)
        contrast = factor(random[1], config.contrast)
        mean = tf.reduce_mean(image, axis=(0, 1))
        return tf.clip_by_value(brightness * (contrast * (image - mean) + mean), 0.0, 255.0)
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
