"""What becomes of a training example: the augmentations in their order.

`augment` is for one example by itself, `mix` puts several augmented ones together. Both are
decided wholly by the seed that they get.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import AugmentationConfig
from keras_ctxseg.data.augmentations import Example, affine
from keras_ctxseg.data.augmentations.class_share import ATTEMPTS, plan_varied_window
from keras_ctxseg.data.augmentations.color import recolor
from keras_ctxseg.data.augmentations.mosaic import mosaic
from keras_ctxseg.data.augmentations.padding import fill_outside, pad
from keras_ctxseg.data.augmentations.paste import of_classes, of_half_the_classes, paste
from keras_ctxseg.data.augmentations.rand_augment import RandAugment
from keras_ctxseg.data.augmentations.seeds import Draw, Seed, derived, uniform
from keras_ctxseg.data.augmentations.window import Window, plan_window

View: TypeAlias = Callable[[Seed, tuple | list], Example]


def augment(
    image: tf.Tensor,
    label: tf.Tensor,
    seed: Seed,
    config: AugmentationConfig,
    ignore_label: int,
    size: tuple | list | None = None,
) -> Example:
    """Scale, crop, flip, turn, recolour and pad an example.

    Args:
        image: `(height, width, 3)` RGB in 0 ... 255.
        label: int32 `(height, width)`, ids in 0 ... 255.
        seed: integer `(2,)`; the same seed gives the same result.
        config: what to do.
        ignore_label: the id of padding.
        size: height and width of the result, integers or int32 scalars; `config.crop_size` if not
            given.

    Returns:
        float32 `(*size, 3)` in 0 ... 255 and int32 `size`.
    """
    size = config.crop_size if size is None else size
    random = tf.unstack(uniform(seed, (8,)))
    drawn = RandAugment(config.rand_augment, derived(seed, Draw.RAND_AUGMENT))

    window = _plan(label, size, seed, random[:3], config, ignore_label)
    mirrored = tf.logical_and(config.flip, random[3] < 0.5)
    image, label, paddings = _show(image, label, window, mirrored, seed, drawn, config)
    image = drawn.recolor(image)
    image = recolor(image, random[4:8], config)
    image, label = pad(image, label, paddings)
    return fill_outside(image, label, config.pad_value, ignore_label)


def mix(
    own: View,
    partner: View,
    seed: Seed,
    config: AugmentationConfig,
    ignore_label: int,
    pasted_ids: tuple[int, ...] = (),
) -> Example:
    """Mosaic, copy-paste and ClassMix of examples that were augmented one by one.

    Args:
        own: gives the stream's own example, augmented by a seed to a size `[height, width]`.
        partner: likewise, an example that the seed chooses as well.
        seed: integer `(2,)`; the same seed gives the same result.
        config: what to do.
        ignore_label: the id of pixels that are never pasted.
        pasted_ids: of the classes that copy-paste pastes.

    Returns:
        float32 `(*config.crop_size, 3)` in 0 ... 255 and int32 `config.crop_size`.
    """
    size = config.crop_size

    def partner_for(draw, place=0):
        partner_seed = derived(derived(seed, draw), place)
        return lambda size: partner(partner_seed, size)

    def several():
        corners = [lambda size: own(seed, size), *(partner_for(Draw.MOSAIC, i) for i in (1, 2, 3))]
        return mosaic(corners, size, derived(seed, Draw.MOSAIC), config.mosaic)

    def copied():
        return paste(example, partner_for(Draw.COPY_PASTE)(size), of_classes(pasted_ids))

    def mixed():
        other = partner_for(Draw.CLASS_MIX)(size)
        chosen = of_half_the_classes(other[1], derived(seed, Draw.CLASS_MIX), ignore_label)
        return paste(example, other, chosen)

    choices = uniform(derived(seed, Draw.CHOICE), (3,))
    example = _maybe(choices[0], config.mosaic.probability, several, lambda: own(seed, size))
    example = _maybe(choices[1], config.copy_paste.probability, copied, lambda: example)
    return _maybe(choices[2], config.class_mix.probability, mixed, lambda: example)


def _maybe(choice, probability: float, change: Callable, otherwise: Callable):
    return tf.cond(choice < probability, change, otherwise) if probability else otherwise()


def _plan(label, size, seed, random, config, ignore_label) -> Window:
    low, high = config.scale_range
    scale = low + (high - low) * random[0]
    place = tf.stack(random[1:3])
    if config.cat_max_ratio == 1:
        return plan_window(tf.shape(label), size, scale, place)
    others = uniform(derived(seed, Draw.CROP), (ATTEMPTS, 2))
    places = tf.concat([place[None], others], 0)
    return plan_varied_window(label, size, scale, places, config.cat_max_ratio, ignore_label)


def _show(image, label, window, mirrored, seed, drawn, config):
    """The window's pixels, and the padding that is still to come."""

    def upright():
        shown = _mirror_and_resize(window.cut(image), window.cut(label), window.shown, mirrored)
        return *shown, window.paddings

    if not config.rotation and not drawn.is_geometric:
        return upright()
    degrees = uniform(derived(seed, Draw.ROTATION), (), -config.rotation, config.rotation)
    size = [axis.before + axis.shown + axis.after for axis in window]
    transform = affine.compose(affine.rotation(degrees), drawn.transform(size))

    def turned():
        shown = affine.show_transformed(image, label, window, mirrored, transform)
        return *shown, tf.zeros((2, 2), tf.int32)

    return tf.cond(tf.reduce_all(transform == affine.identity()), upright, turned)


def _mirror_and_resize(image, label, size, mirrored):
    image, label = tf.cond(  # here, where pixels are few and small
        mirrored,
        lambda: (tf.reverse(image, [1]), tf.reverse(label, [1])),
        lambda: (image, label),
    )
    image = tf.image.resize(image, size, "bilinear")
    return image, tf.image.resize(label[..., None], size, "nearest")[..., 0]
