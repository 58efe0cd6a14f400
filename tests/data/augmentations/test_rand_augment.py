"""RandAugment's colours against Pillow's and formulas; what is drawn how often."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from keras_ctxseg.data.augmentation_config import RAND_AUGMENT_OPERATIONS, RandAugmentConfig
from keras_ctxseg.data.augmentations.rand_augment import GEOMETRIC, RandAugment

MAGNITUDE = 6.0


def drawn(name, seed, magnitude=MAGNITUDE):
    config = RandAugmentConfig(1, magnitude, (name,))
    return RandAugment(config, tf.constant([3, seed], tf.int64))


def expected(name, pixels, strength):
    """The operation by Pillow, or, where tf-models differs from it, by its definition."""
    image = Image.fromarray(pixels)
    factor = 1 + 0.9 * strength
    if name == "contrast":  # about each channel's own mean
        mean = pixels.mean((0, 1))
        return np.clip(mean + factor * (pixels - mean), 0, 255)
    operations = {
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "color": lambda: ImageEnhance.Color(image).enhance(factor),
        "equalize": lambda: ImageOps.equalize(image),
        "posterize": lambda: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
        "solarize": lambda: ImageOps.solarize(image, 256 * (1 - abs(strength))),
    }
    return np.asarray(operations.get(name, lambda: image)())


@pytest.mark.parametrize("name", RAND_AUGMENT_OPERATIONS)
def test_colours(rng, name):
    pixels = rng.integers(40, 200, (36, 41, 3)).astype(np.uint8)
    for seed in range(3):
        one = drawn(name, seed)
        result = one.recolor(tf.constant(pixels, tf.float32)).numpy()
        # Both round down at several places: two levels.
        np.testing.assert_allclose(
            result, expected(name, pixels, float(one.strength[0])), atol=2.01
        )


@pytest.mark.parametrize(
    "name", sorted(set(RAND_AUGMENT_OPERATIONS) - {"autocontrast", "equalize"})
)
def test_no_magnitude_changes_nothing(rng, name):
    pixels = rng.integers(0, 256, (36, 41, 3)).astype(np.float32)
    one = drawn(name, 1, magnitude=0.0)
    np.testing.assert_array_equal(one.recolor(tf.constant(pixels)), pixels)
    np.testing.assert_array_equal(one.transform((36, 41)), np.eye(2, 3))


def test_each_operation_is_as_likely():
    draws = tf.data.Dataset.range(700).map(
        lambda number: RandAugment(RandAugmentConfig(2), tf.stack([0, number])).chosen
    )
    chosen = list(draws.as_numpy_iterator())
    counts = np.bincount(np.ravel(chosen), minlength=14)
    assert len(counts) == 14
    np.testing.assert_allclose(counts, 1400 / 14, atol=4.5 * np.sqrt(1400 / 14))


def test_only_some_operations_move_pixels():
    for name in RAND_AUGMENT_OPERATIONS:
        assert drawn(name, 0).is_geometric == (name in GEOMETRIC)
