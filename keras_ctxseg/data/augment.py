"""What becomes of a training example: the augmentations in their order.

Each is decided wholly by the seed that it gets.
"""

from collections.abc import Callable

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import AugmentationConfig
from keras_ctxseg.data.augmentations import Example, affine
from keras_ctxseg.data.augmentations.color import recolor
from keras_ctxseg.data.augmentations.custom import apply_custom
from keras_ctxseg.data.augmentations.example import Draw, Seed, derived, index_below, table, uniform
from keras_ctxseg.data.augmentations.mixing import mosaic, of_half_the_classes, paste
from keras_ctxseg.data.augmentations.rand_augment import RandAugment
from keras_ctxseg.data.augmentations.window import (
    ATTEMPTS,
    Window,
    fill_outside,
    pad,
    plan_varied_window,
    plan_window,
)
from keras_ctxseg.data.panoptic import of_partner
from keras_ctxseg.data.resampling import resize_label


def augment(
    image: tf.Tensor,
    label: tf.Tensor,
    seed: Seed,
    config: AugmentationConfig,
    ignore_label: int,
) -> Example:
    """Scale, crop, flip, turn, recolour and pad an example by itself.

    Args:
        image: `(height, width, channels)`, mostly RGB, in 0 ... 255.
        label: int32 `(height, width)`, ids in 0 ... 255, or a panoptic label map of such ids.
        seed: integer `(2,)`; the same seed gives the same result.
        config: what to do.
        ignore_label: the id of padding.

    Returns:
        float32 `(*config.crop_size, channels)` in 0 ... 255 and int32 `config.crop_size`.
    """
    image, label, paddings = _show(image, label, config.crop_size, seed, config, ignore_label)
    image = _change_colors(image, seed, config)
    image, label = pad(image, label, paddings)
    return _finished(image, label, seed, config, ignore_label)


def augment_and_mix(
    read: Callable[[tf.Tensor], Example],
    index: tf.Tensor,
    count: int,
    seed: Seed,
    config: AugmentationConfig,
    ignore_label: int,
    pasted_ids: tuple[int, ...] = (),
) -> Example:
    """`augment`, with the pixels of further examples where the configuration wants them.

    Every example is scaled, cropped, flipped and turned by itself (what is pasted is not turned);
    colours change together.

    Args:
        read: gives the example at an index (scalar int64), as `augment` takes it.
        index: which example this is about.
        count: how many there are.
        seed, config, ignore_label: as in `augment`.
        pasted_ids: the ids of `config.copy_paste.classes`.

    Returns:
        As `augment`.
    """
    if not config.mixes:
        return augment(*read(index), seed, config, ignore_label)
    size = tf.constant(config.crop_size)

    def view(index: tf.Tensor, view_seed: Seed, size: tf.Tensor, turns: bool = True) -> Example:
        return pad(*_show(*read(index), size, view_seed, config, ignore_label, turns))

    if not tf.executing_eagerly():
        view = tf.function(view)  # Several places call it, but it is traced once or twice.

    def own(size: tf.Tensor) -> Example:
        return view(index, seed, size)

    def partner(draw: int, place: int = 0, turns: bool = True) -> Callable[[tf.Tensor], Example]:
        partner_seed = derived(derived(seed, draw), place)
        other = index_below(derived(partner_seed, Draw.PARTNER), count)

        def shown(size: tf.Tensor) -> Example:
            image, label = view(other, partner_seed, size, turns)
            return image, of_partner(label, place or int(draw))

        return shown

    def assembled() -> Example:
        corners = [own, *(partner(Draw.MOSAIC, place) for place in (1, 2, 3))]
        return mosaic(corners, config.crop_size, derived(seed, Draw.MOSAIC), config.mosaic)

    def copied_onto(example: Example) -> Example:
        return paste(example, partner(Draw.COPY_PASTE, turns=False)(size), table(pasted_ids))

    def mixed_onto(example: Example) -> Example:
        other = partner(Draw.CLASS_MIX, turns=False)(size)
        half = of_half_the_classes(other[1], derived(seed, Draw.CLASS_MIX), ignore_label)
        return paste(example, other, half)

    is_mosaic, is_copied, is_mixed = tf.unstack(
        uniform(derived(seed, Draw.CHOICE), (3,))
        < [config.mosaic.probability, config.copy_paste.probability, config.class_mix.probability]
    )
    example = tf.cond(is_mosaic, assembled, lambda: own(size))
    example = tf.cond(is_copied, lambda: copied_onto(example), lambda: example)
    image, label = tf.cond(is_mixed, lambda: mixed_onto(example), lambda: example)
    image, _ = fill_outside(image, label, config.pad_value, ignore_label)
    image = _change_colors(image, seed, config)
    return _finished(image, label, seed, config, ignore_label)


def _show(image, label, size, seed, config, ignore_label, turns=True):
    """Scales, crops, flips and turns: what the crop shows, and the padding still to come."""
    random = uniform(seed, (8,))
    window = _plan(label, size, seed, random[:3], config, ignore_label)
    mirrored = tf.logical_and(config.flip, random[3] < 0.5)

    def upright():
        shown = _mirror_and_resize(window.cut(image), window.cut(label), window.shown, mirrored)
        return *shown, window.paddings

    drawn = _rand_augment(seed, config)
    if not turns or not (config.rotation or drawn.is_geometric):
        return upright()
    degrees = uniform(derived(seed, Draw.ROTATION), (), -config.rotation, config.rotation)
    transform = affine.compose(affine.rotation(degrees), drawn.transform(size))

    def turned():
        shown = affine.show_transformed(image, label, window, mirrored, transform)
        return *shown, tf.zeros((2, 2), tf.int32)

    return tf.cond(tf.reduce_all(transform == affine.identity()), upright, turned)


def _plan(label, size, seed, random, config, ignore_label) -> Window:
    low, high = config.scale_range
    scale = low + (high - low) * random[0]
    if config.cat_max_ratio == 1:
        return plan_window(tf.shape(label), size, scale, random[1:3])
    others = uniform(derived(seed, Draw.CROP), (ATTEMPTS, 2))
    places = tf.concat([random[None, 1:3], others], 0)
    return plan_varied_window(label, size, scale, places, config.cat_max_ratio, ignore_label)


def _mirror_and_resize(image, label, size, mirrored):
    image, label = tf.cond(  # here, where pixels are few and small
        mirrored,
        lambda: (tf.reverse(image, [1]), tf.reverse(label, [1])),
        lambda: (image, label),
    )
    return tf.image.resize(image, size, "bilinear"), resize_label(label, size)


def _change_colors(image, seed, config):
    image = _rand_augment(seed, config).recolor(image)
    return recolor(image, tf.unstack(uniform(seed, (8,)))[4:], config)


def _rand_augment(seed, config) -> RandAugment:
    return RandAugment(config.rand_augment, derived(seed, Draw.RAND_AUGMENT))


def _finished(image, label, seed, config, ignore_label) -> Example:
    image, label = apply_custom(config.custom, image, label, seed)
    image, label = fill_outside(image, label, config.pad_value, ignore_label)
    shape = (*config.crop_size, image.shape[-1])
    return tf.ensure_shape(image, shape), tf.ensure_shape(label, config.crop_size)
