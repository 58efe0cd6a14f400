"""What becomes of a training example: the augmentations in their order.

Each is decided wholly by the seed that it gets.
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

Read: TypeAlias = Callable[[], Example]
ReadAny: TypeAlias = Callable[[Seed], Example]
Size: TypeAlias = tuple | list


def augment(
    image: tf.Tensor,
    label: tf.Tensor,
    seed: Seed,
    config: AugmentationConfig,
    ignore_label: int,
) -> Example:
    """Scale, crop, flip, turn, recolour and pad an example by itself.

    Args:
        image: `(height, width, 3)` RGB in 0 ... 255.
        label: int32 `(height, width)`, ids in 0 ... 255.
        seed: integer `(2,)`; the same seed gives the same result.
        config: what to do.
        ignore_label: the id of padding.

    Returns:
        float32 `(*config.crop_size, 3)` in 0 ... 255 and int32 `config.crop_size`.
    """
    image, label, paddings = _show(image, label, config.crop_size, seed, config, ignore_label)
    image = _change_colors(image, seed, config)
    image, label = pad(image, label, paddings)
    return _finished(image, label, config, ignore_label)


def augment_and_mix(
    read: Read,
    read_any: ReadAny,
    seed: Seed,
    config: AugmentationConfig,
    ignore_label: int,
    pasted_ids: tuple[int, ...] = (),
) -> Example:
    """`augment`, with the pixels of further examples where the configuration wants them.

    Every example is scaled, cropped, flipped and turned by itself; colours change together.

    Args:
        read: gives the example, as `augment` takes it.
        read_any: gives any example, chosen by a seed.
        seed, config, ignore_label: as in `augment`.
        pasted_ids: the ids of `config.copy_paste.classes`.

    Returns:
        As `augment`.
    """
    if not (config.mosaic.probability or config.copy_paste.probability
            or config.class_mix.probability):  # fmt: skip
        return augment(*read(), seed, config, ignore_label)

    def view(example: Example, view_seed: Seed, size: Size) -> Example:
        return pad(*_show(*example, size, view_seed, config, ignore_label))

    def own(size: Size) -> Example:
        return view(read(), seed, size)

    def partner(draw: int, place: int = 0):
        partner_seed = derived(derived(seed, draw), place)
        return lambda size: view(
            read_any(derived(partner_seed, Draw.PARTNER)), partner_seed, size
        )

    def assembled():
        corners = [own, *(partner(Draw.MOSAIC, place) for place in (1, 2, 3))]
        return mosaic(corners, config.crop_size, derived(seed, Draw.MOSAIC), config.mosaic)

    def pasted(example: Example):
        return paste(example, partner(Draw.COPY_PASTE)(config.crop_size), of_classes(pasted_ids))

    def mixed(example: Example):
        other = partner(Draw.CLASS_MIX)(config.crop_size)
        half = of_half_the_classes(other[1], derived(seed, Draw.CLASS_MIX), ignore_label)
        return paste(example, other, half)

    choices = uniform(derived(seed, Draw.CHOICE), (3,))
    example = _maybe(
        choices[0] < config.mosaic.probability, assembled, lambda: own(config.crop_size)
    )
    example = _maybe(
        choices[1] < config.copy_paste.probability, lambda: pasted(example), lambda: example
    )
    image, label = _maybe(choices[2] < config.class_mix.probability, mixed, example)
    image, _ = fill_outside(image, label, config.pad_value, ignore_label)
    image = _change_colors(image, seed, config)
    return _finished(image, label, config, ignore_label)
