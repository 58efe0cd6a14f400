"""RandAugment (arXiv 1909.13719) for images with label maps.

The operations that move pixels become one matrix, which image and labels share (`affine`); those
that change colours are tf-models' own. A magnitude of 0 leaves the picture as it is, but for
`autocontrast` and `equalize`, which have no strength.
"""

from collections.abc import Callable

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import RandAugmentConfig
from keras_ctxseg.data.augmentations import affine
from keras_ctxseg.data.augmentations.example import Seed, uniform

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
# At the magnitude 10. Degrees and shear as in the paper; shares of the side as timm has them.
_GREATEST = (30.0, 0.3, 0.3, 0.45, 0.45)
_ENHANCEMENT = 0.9  # factors of 0.1 and 1.9
_LOST_BITS = 4
_ANY_CHANNELS = ("brightness", "posterize", "solarize")  # The others are about RGB.


class RandAugment:
    """The operations that one example drew.

    Args:
        config: count, magnitude and the operations to draw from.
        seed: decides which, and their directions.
    """

    def __init__(self, config: RandAugmentConfig, seed: Seed):
        self.config = config
        draws = uniform(seed, (config.count, 2))
        count = len(config.operations)
        chosen = tf.cast(draws[:, 0] * count, tf.int32)
        self.chosen = tf.minimum(chosen, count - 1)  # float32 may round up to `count`
        sign = tf.where(draws[:, 1] < 0.5, -1.0, 1.0)
        self.strength = sign * (config.magnitude / 10)  # -1 ... 1

    @property
    def is_geometric(self) -> bool:
        """Whether any operation might move pixels."""
        return self.config.count > 0 and any(name in GEOMETRIC for name in self.config.operations)

    def transform(self, size) -> tf.Tensor:
        """What all drawn operations do to the geometry, as a matrix of `affine`.

        Args:
            size: the crop's height and width.
        """
        result = affine.identity()
        for step in range(self.config.count):
            result = affine.compose(result, self._matrix(step, size))
        return result

    def _matrix(self, step: int, size) -> tf.Tensor:
        """Of one operation: all strengths but its own are 0."""
        table = tf.constant(
            [[name == own for own in GEOMETRIC] for name in self.config.operations], tf.float32
        )
        strengths = table[self.chosen[step]] * self.strength[step]
        degrees, shear_x, shear_y, shift_x, shift_y = tf.unstack(strengths * _GREATEST)
        height, width = (tf.cast(size[axis], tf.float32) for axis in range(2))
        moved = affine.matrix([0.0, shear_y, shift_y * height], [shear_x, 0.0, shift_x * width])
        return affine.rotation(degrees) + moved

    def recolor(self, image: tf.Tensor) -> tf.Tensor:
        """What they do to the colours of a float32 image in 0 ... 255."""
        if set(self.config.operations) <= {*GEOMETRIC, "identity"}:
            return image
        for step in range(self.config.count):
            strength = self.strength[step]
            branches = [
                lambda image=image, name=name, strength=strength: _recolored(name, image, strength)
                for name in self.config.operations
            ]
            image = tf.ensure_shape(tf.switch_case(self.chosen[step], branches), image.shape)
        return image


def _recolored(name: str, image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    operation = _color_operations().get(name)
    if operation is None or (image.shape[-1] != 3 and name not in _ANY_CHANNELS):
        return image
    pixels = tf.cast(tf.round(image), tf.uint8)
    return tf.cast(operation(pixels, strength), tf.float32)


def _color_operations() -> dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]:
    """Functions of uint8 pixels and a strength in -1 ... 1."""
    from official.vision.ops import augment

    def enhance(operation):
        return lambda pixels, strength: operation(pixels, 1 + _ENHANCEMENT * strength)

    def posterize(pixels, strength):
        lost = tf.round(_LOST_BITS * tf.abs(strength))
        return augment.posterize(pixels, tf.cast(8 - lost, tf.uint8))

    def solarize(pixels, strength):
        inverted = 255 - pixels
        return tf.where(
            tf.cast(pixels, tf.float32) < 256 * (1 - tf.abs(strength)), pixels, inverted
        )

    return {
        "autocontrast": lambda pixels, _: augment.autocontrast(pixels),
        "brightness": enhance(augment.brightness),
        "color": enhance(augment.color),
        "contrast": enhance(augment.contrast),
        "equalize": lambda pixels, _: augment.equalize(pixels),
        "posterize": posterize,
        "sharpness": enhance(augment.sharpness),
        "solarize": solarize,
    }
