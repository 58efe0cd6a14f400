"""RandAugment (arXiv 1909.13719) for images with label maps.

The operations that move pixels become one matrix, which image and labels share (`affine`); those
that change colours are tf-models' own. A magnitude of 0 leaves the picture as it is, but for
`autocontrast` and `equalize`, which have no strength.
"""

from collections.abc import Callable

import tensorflow as tf

from keras_ctxseg.data.augmentation_config import RandAugmentConfig
from keras_ctxseg.data.augmentations import affine
from keras_ctxseg.data.augmentations.seeds import Seed, uniform

# At the magnitude 10. Shear and rotation as in the paper; shifts as timm has them.
_DEGREES = 30.0
_SHEAR = 0.3
_SHIFT = 0.45  # of the side
_ENHANCEMENT = 0.9  # factors of 0.1 and 1.9
_LOST_BITS = 4
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


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
            matrices = [_matrix(name, self.strength[step], size) for name in self.config.operations]
            result = affine.compose(result, tf.stack(matrices)[self.chosen[step]])
        return result

    def recolor(self, image: tf.Tensor) -> tf.Tensor:
        """What they do to the colours of a float32 image in 0 ... 255."""
        for step in range(self.config.count):
            strength = self.strength[step]
            branches = [
                lambda image=image, name=name, strength=strength: _recolored(name, image, strength)
                for name in self.config.operations
            ]
            image = tf.ensure_shape(tf.switch_case(self.chosen[step], branches), image.shape)
        return image


def _matrix(name: str, strength: tf.Tensor, size) -> tf.Tensor:
    height, width = (tf.cast(side, tf.float32) for side in size)
    if name == "rotate":
        return affine.rotation(_DEGREES * strength)
    if name == "shear_x":
        return affine.matrix([1.0, 0.0, 0.0], [_SHEAR * strength, 1.0, 0.0])
    if name == "shear_y":
        return affine.matrix([1.0, _SHEAR * strength, 0.0], [0.0, 1.0, 0.0])
    if name == "translate_x":
        return affine.matrix([1.0, 0.0, 0.0], [0.0, 1.0, _SHIFT * strength * width])
    if name == "translate_y":
        return affine.matrix([1.0, 0.0, _SHIFT * strength * height], [0.0, 1.0, 0.0])
    return affine.identity()


def _recolored(name: str, image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    operation = _color_operations().get(name)
    if operation is None:
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
