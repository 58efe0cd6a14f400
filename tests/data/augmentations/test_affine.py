"""Turned, sheared and shifted crops against SciPy's interpolation at places computed by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import map_coordinates

from keras_ctxseg.data import AugmentationConfig
from keras_ctxseg.data.augment import augment
from keras_ctxseg.data.augmentation_config import RAND_AUGMENT_OPERATIONS, RandAugmentConfig
from keras_ctxseg.data.augmentations import affine
from keras_ctxseg.data.augmentations.example import OUTSIDE
from keras_ctxseg.data.augmentations.rand_augment import RandAugment
from keras_ctxseg.data.augmentations.window import plan_window

SOURCE, CROP = (61, 75), (44, 52)


def source_places(window, mirrored, matrix):
    """Where each pixel of the crop comes from, step by step, in float64: `(2, *CROP)`."""
    place = np.stack(np.indices(CROP)).astype(np.float64)
    center = (np.array(CROP)[:, None, None] - 1) / 2
    place = np.einsum("ij,j...->i...", matrix[:, :2], place - center) + center
    place += matrix[:, 2][:, None, None]
    result = []
    for axis, flipped, along in zip(window, (False, mirrored), place, strict=True):
        start, length, shown, before, _ = (int(value) for value in axis)
        along = along - before
        along = shown - 1 - along if flipped else along
        result.append((along + 0.5) * length / shown - 0.5 + start)
    return np.stack(result)


def random_matrix(rng):
    angle, shear = rng.uniform(-1, 1, 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.concatenate([turn @ [[1, shear / 3], [0, 1]], rng.uniform(-6, 6, (2, 1))], 1)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.7])
@pytest.mark.parametrize("mirrored", [False, True])
def test_pixels_come_from_their_places(rng, scale, mirrored):
    image = rng.integers(0, 256, (*SOURCE, 3)).astype(np.uint8)
    label = rng.integers(0, 200, SOURCE).astype(np.int32)
    matrix = random_matrix(rng)
    window = plan_window(SOURCE, CROP, scale, rng.uniform(size=2).astype(np.float32))
    result, labels = affine.show_transformed(
        tf.constant(image), tf.constant(label), window, mirrored, tf.constant(matrix, tf.float32)
    )
    places = source_places(window, mirrored, matrix)
    expected = [map_coordinates(channel, places, order=1, mode="nearest", output=np.float64)
                for channel in np.moveaxis(image, -1, 0)]  # fmt: skip
    # float32 places are off by up to 1e-5 pixels of up to 255 levels each.
    np.testing.assert_allclose(result, np.moveaxis(expected, 0, -1), atol=0.02)
    nearest = np.floor(places + 0.5).astype(int)
    limit = np.array(SOURCE)[:, None, None]
    inside = ((nearest >= 0) & (nearest < limit)).all(0)
    expected = np.where(inside, label[tuple(np.clip(nearest, 0, limit - 1))], OUTSIDE)
    clear = (np.abs(places + 0.5 - np.round(places + 0.5)) > 1e-3).all(0)
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(labels.numpy()[clear], expected[clear])


@pytest.mark.parametrize("seed", range(4))
def test_a_turn_by_nothing_is_the_plain_crop(rng, seed):
    image = tf.constant(rng.integers(0, 256, (*SOURCE, 3)), tf.uint8)
    label = tf.constant(rng.integers(0, 200, SOURCE), tf.int32)
    plain = augment(image, label, [1, seed], AugmentationConfig(CROP), 255)
    # So little that the other path is taken.
    turned = augment(image, label, [1, seed], AugmentationConfig(CROP, rotation=1e-4), 255)
    same = plain[1] == turned[1]
    assert np.mean(same) > 0.9  # whole rows and columns lie halfway between two pixels
    # Where a resized window ends, it repeats its edge; a turned one goes on into the image.
    inner = np.zeros(CROP, bool)
    inner[3:-3, 3:-3] = True
    inner &= (plain[1] != 255) & (turned[1] != 255)
    difference = np.abs(plain[0] - turned[0]).max(-1)
    assert np.quantile(difference[inner], 0.9) < 0.05


def test_the_rotation_turns_counterclockwise():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 35] = 255  # to the right of the centre
    window = plan_window((41, 41), (41, 41), 1.0, (0.0, 0.0))
    shown, _ = affine.show_transformed(
        tf.constant(image), tf.zeros((41, 41), tf.int32), window, False, affine.rotation(90.0)
    )
    assert np.unravel_index(np.argmax(shown[..., 0]), (41, 41)) == (5, 20)  # now above it


def test_two_matrices_one_after_the_other(rng):
    first, then = (random_matrix(rng) for _ in range(2))
    place = rng.uniform(-9, 9, 2)
    shown = then[:, :2] @ place + then[:, 2]
    expected = first[:, :2] @ shown + first[:, 2]
    both = affine.compose(*(tf.constant(one, tf.float32) for one in (first, then))).numpy()
    np.testing.assert_allclose(both[:, :2] @ place + both[:, 2], expected, rtol=1e-4, atol=1e-4)


def expected_matrix(name, strength):
    angle = np.deg2rad(30 * strength)
    return {
        "rotate": [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0]],
        "shear_x": [[1, 0, 0], [0.3 * strength, 1, 0]],
        "shear_y": [[1, 0.3 * strength, 0], [0, 1, 0]],
        "translate_x": [[1, 0, 0], [0, 1, 0.45 * strength * CROP[1]]],
        "translate_y": [[1, 0, 0.45 * strength * CROP[0]], [0, 1, 0]],
    }.get(name, [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("name", RAND_AUGMENT_OPERATIONS)
def test_the_geometry_of_each_operation(name):
    found = {0.7: False, -0.7: False}
    for seed in range(12):
        drawn = RandAugment(RandAugmentConfig(1, 7.0, (name,)), tf.constant([0, seed], tf.int64))
        strength = float(drawn.strength[0])
        found[round(strength, 6)] = True
        np.testing.assert_allclose(
            drawn.transform(CROP), expected_matrix(name, strength), atol=1e-5
        )
    assert all(found.values())
