"""Augmentations from outside the package, by name.

A function `(image, label, seed, **arguments)` to `(image, label)`:

- image: float32 `(height, width, channels)`, mostly RGB, in 0 ... 255, the crop after all other
  augmentations.
- label: int32 `(height, width)`, class ids or a panoptic label map; `OUTSIDE` where there is no
  image. Whatever has that label afterwards gets the padding's colour and the ignore label.
- seed: int64 `(2,)`, for `tf.random.stateless_uniform` and the like. What comes out must depend on
  image, label and seed alone: a resumed run and a parallel map have to repeat it.

Size and dtypes stay as they are. It runs in the graph of `tf.data`.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_ctxseg._named import Named, find
from keras_ctxseg.data.augmentations import Example
from keras_ctxseg.data.augmentations.example import OUTSIDE, Draw, Seed, derived, uniform

_TRIALS = 3
_found = tf.autograph.experimental.do_not_convert(find)  # AutoGraph cannot read how Python imports.


def apply_custom(parts: Sequence[Named], image: tf.Tensor, label: tf.Tensor, seed: Seed) -> Example:
    """Applies the functions in their order, each with a seed of its own.

    Raises:
        ValueError: a name that is not there, or a result of another form.
    """
    for index, part in enumerate(parts):
        key = f"augmentation.custom[{index}]"
        image, label = _call(part, key, image, label, derived(derived(seed, Draw.CUSTOM), index))
    return image, label


def check_custom(parts: Sequence[Named], channels: int = 3) -> None:
    """Tries each function on a small example, several times with the same seeds.

    Raises:
        ValueError: a name that is not there, a result of another form, or one that does not depend
            on image, label and seed alone.
    """
    for index, part in enumerate(parts):
        key = f"augmentation.custom[{index}]"
        for trial in range(_TRIALS):
            seed = tf.constant([trial, index], tf.int64)
            image = uniform(seed, (33, 40, channels), 0.0, 255.0)
            label = tf.cast(uniform(seed, (33, 40), 0.0, 2.0), tf.int32)
            label = tf.where(tf.range(40) < 4, OUTSIDE, label)
            first, second = (_call(part, key, image, label, seed) for _ in range(2))
            for a, b in zip(first, second, strict=True):
                if not bool(tf.reduce_all(a == b)):
                    raise ValueError(
                        f"`{key}`: {part.name} gives different results for the same image, label "
                        "and seed. Draw from `seed` with tf.random.stateless_uniform or the like"
                    )


def _call(part: Named, key: str, image: tf.Tensor, label: tf.Tensor, seed: Seed) -> Example:
    function: Callable = _found(part.name, key)
    try:
        result = function(image, label, seed, **part.arguments)
    except TypeError as error:
        raise ValueError(f"`{key}`: {part.name}: {error}") from error
    if isinstance(result, (tuple, list)) and len(result) == 2:
        found = [tf.convert_to_tensor(each) for each in result]
        if all(_fits(each, like) for each, like in zip(found, (image, label), strict=True)):
            return tf.ensure_shape(found[0], image.shape), tf.ensure_shape(found[1], label.shape)
        result = [(each.dtype.name, *each.shape) for each in found]
    raise ValueError(
        f"`{key}`: expected {part.name} to return (image, label), float32 and int32, of their "
        f"sizes. Received: {result}"
    )


def _fits(tensor: tf.Tensor, like: tf.Tensor) -> bool:
    return tensor.dtype == like.dtype and tensor.shape.is_compatible_with(like.shape)
