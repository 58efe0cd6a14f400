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
    """Scale, pad, crop, flip and recolour an example that already has `config.image_scale`.

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
    image, label, inside = _scale_and_crop(image, label, scale, random[1:3], config, ignore_label)
    if config.flip:
        flipped = random[3] < 0.5
        image, label, inside = (
            tf.where(flipped, tensor[:, ::-1], tensor) for tensor in (image, label, inside)
        )
    image = _recolor(image, inside, random[4:8], config)
    image = tf.where(inside[..., None], image, tf.constant(config.pad_value, tf.float32))
    return tf.ensure_shape(image, (*config.crop_size, 3)), tf.ensure_shape(label, config.crop_size)


def _scale_and_crop(image, label, scale, shifts, config, ignore_label):
    """Read the crop straight from the source; what lies outside the crop is never computed.

    Pixel `i` of the crop looks at `(i + offset + 0.5) / scale` in the source, where pixel `j` covers
    `j ... j + 1`: the image interpolates there, the label takes the pixel that covers the point.
    A negative offset shows padding before the image, a positive one cuts its start off.
    """
    size = tf.shape(label)
    crop = tf.constant(config.crop_size)
    spare = tf.cast(tf.round(scale * tf.cast(size, tf.float32)), tf.int32) - crop
    steps = tf.cast(tf.abs(spare) + 1, tf.float32)
    shift = tf.minimum(tf.cast(tf.stack(shifts) * steps, tf.int32), tf.abs(spare))
    offset = tf.where(spare < 0, -shift, shift)

    rows, rows_inside = _source_indices(crop[0], offset[0], scale, size[0])
    columns, columns_inside = _source_indices(crop[1], offset[1], scale, size[1])
    inside = rows_inside[:, None] & columns_inside[None, :]
    label = tf.gather(tf.gather(label, rows), columns, axis=1)
    label = tf.where(inside, label, ignore_label)
    image = tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(image, tf.float32)[None],
        size=crop,
        scale=tf.stack([scale, scale]),
        translation=-tf.cast(offset, tf.float32),
        kernel_type="triangle",  # bilinear
        antialias=False,
    )[0]
    return image, label, inside


def _source_indices(count, offset, scale, size):
    position = (tf.cast(tf.range(count) + offset, tf.float32) + 0.5) / scale
    index = tf.cast(tf.floor(position), tf.int32)
    return tf.clip_by_value(index, 0, size - 1), (index >= 0) & (index < size)


def _recolor(image, inside, random, config):
    """Brightness, contrast, saturation and hue, in this order, each only where it has a strength."""

    def factor(number, strength):
        return 1 + strength * (2 * number - 1)

    if config.brightness:
        image = image * factor(random[0], config.brightness)
    if config.contrast:
        weight = tf.cast(inside, tf.float32)[..., None]
        mean = tf.reduce_sum(image * weight) / (3 * tf.maximum(tf.reduce_sum(weight), 1))
        image = mean + factor(random[1], config.contrast) * (image - mean)
    if config.saturation:
        grey = tf.tensordot(image, tf.constant(_LUMA), 1)[..., None]
        image = grey + factor(random[2], config.saturation) * (image - grey)
    image = tf.clip_by_value(image, 0.0, 255.0)
    if config.hue:
        image = 255 * tf.image.adjust_hue(image / 255, config.hue * (2 * random[3] - 1))
    return image
