"""Augmentations from outside: where they come in, what they get, what is refused."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.data import AugmentationConfig
from keras_ctxseg.data.augment import augment
from keras_ctxseg.data.augmentation_config import Named
from keras_ctxseg.data.augmentations.custom import check_custom
from keras_ctxseg.data.augmentations.example import OUTSIDE

CALLS: list = []


def noise(image, label, seed, strength=5.0):
    return image + tf.random.stateless_uniform(tf.shape(image), seed, 0.0, strength), label


def shifted(image, label, seed):
    """Moves everything one column to the right; on the left, there is no image."""
    label = tf.concat([tf.fill((tf.shape(label)[0], 1), OUTSIDE), label[:, :-1]], 1)
    return tf.roll(image, 1, 1), label


def noted(image, label, seed):
    CALLS.append((image.numpy(), label.numpy(), seed.numpy()))
    return image, label


def not_repeatable(image, label, seed):
    return image + tf.random.uniform(()), label


def numpy_noise(image, label, seed):
    return image + np.float32(np.random.default_rng().uniform()), label


def wrong_type(image, label, seed):
    return tf.cast(image, tf.uint8), label


def wrong_size(image, label, seed):
    return image[1:], label[1:]


def alone(image, label, seed):
    return image


def named(function, **arguments):
    return Named(f"{__name__}.{function.__name__}", arguments)


def run(image, label, number, *parts, **config):
    config = AugmentationConfig(crop_size=(48, 40), custom=parts, **config)
    return [each.numpy() for each in augment(image, label, [7, number], config, 255)]


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 36, 3)).astype("uint8")
    return tf.constant(image), tf.constant(rng.integers(0, 3, (30, 36)), tf.int32)


def test_it_comes_last_on_the_crop(example):
    """Before the padding gets its colour: what a function does to it does not show."""
    CALLS.clear()
    settings = {"scale_range": (1.0, 1.0), "flip": False, "brightness": 0.3}
    plain = run(*example, 3, **settings)
    image, label = run(*example, 3, named(noted), named(noise), **settings)
    ((seen, ids, _),) = CALLS
    padding = ids == OUTSIDE
    assert padding.sum() == 48 * 40 - 30 * 36
    np.testing.assert_array_equal(plain[0][~padding], seen[~padding])
    np.testing.assert_array_equal(label, np.where(padding, 255, ids))
    np.testing.assert_array_equal(image[padding], plain[0][padding])
    difference = image[~padding] - plain[0][~padding]
    assert 0 <= difference.min() < 0.1
    assert 4.9 < difference.max() <= 5.0 + 1e-4  # float32 rounding near 255


def test_pixels_without_an_image_are_filled(example):
    image, label = run(*example, 3, named(shifted), scale_range=(2.0, 2.0))
    assert (label[:, 0] == 255).all()
    assert (label[:, 1:] != 255).all()
    np.testing.assert_array_equal(image[:, 0], np.float32([[123.675, 116.28, 103.53]] * 48))


def test_each_function_and_each_example_has_its_seed(example):
    CALLS.clear()
    for number in (3, 3, 4):
        run(*example, number, named(noted), named(noted))
    seeds = [tuple(seed) for _, _, seed in CALLS]
    assert seeds[:2] == seeds[2:4]
    assert len({*seeds}) == 4


def test_it_runs_in_a_graph(example):
    config = AugmentationConfig(crop_size=(48, 40), custom=(named(noise, strength=9.0),))
    graph = tf.function(lambda number: augment(*example, tf.stack([7, number]), config, 255))
    for number in range(2):
        eager = augment(*example, tf.constant([7, number], tf.int64), config, 255)
        for ours, theirs in zip(graph(tf.constant(number, tf.int64)), eager, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-3)  # resizing, in 0 ... 255


def test_good_functions_pass_the_check():
    check_custom([named(noise), named(shifted)])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (named(not_repeatable), "not_repeatable gives different results for the same image, label"),
        (named(numpy_noise), "numpy_noise gives different results for the same image, label and"),
        (named(wrong_type), "wrong_type to return (image, label), float32 and int32, of their si"),
        (named(wrong_size), "Received: [('float32', 32, 40, 3), ('int32', 32, 40)]"),
        (named(alone), "alone to return (image, label)"),
        (named(noise, strong=1), "noise() got an unexpected keyword argument 'strong'"),
        (Named(f"{__name__}.nois"), "has no 'nois'. Did you mean 'noise'?"),
    ],
)
def test_errors(part, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        check_custom([named(noise), part])
    assert "`augmentation.custom[1]`" in str(error.value)
