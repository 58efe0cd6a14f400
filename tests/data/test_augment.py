"""Geometry, padding and colour of one augmented example."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.data import AugmentationConfig
from keras_ctxseg.data.augment import augment

IGNORE = 255


def run(image, label, seed, **config):
    config = {"crop_size": (48, 40), **config}
    result = augment(
        tf.constant(image),
        tf.constant(label, tf.int32),
        [7, seed],
        AugmentationConfig(**config),
        IGNORE,
    )
    return result[0].numpy(), result[1].numpy()


def blocks(height, width, ids=(3, 17, 42, 200), seed=0, side=13):
    """A label map of random blocks whose ids are far apart, so that a mixture would show."""
    generator = np.random.default_rng(seed)
    coarse = generator.choice(ids, (height // side + 1, width // side + 1))
    return np.kron(coarse, np.ones((side, side), int))[:height, :width].astype(np.int32)


def encode(label):
    """An image whose red is the label, with other patterns in green and blue."""
    rows, columns = np.indices(label.shape)
    return np.stack([label, rows % 256, columns % 256], -1).astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_no_id_appears_that_was_not_there(seed):
    label = blocks(61, 57)
    _, result = run(encode(label), label, seed, scale_range=(0.4, 2.5), hue=0.1, contrast=0.5)
    assert set(np.unique(result)) <= {3, 17, 42, 200, IGNORE}
    assert result.dtype == np.int32


@pytest.mark.parametrize("seed", range(12))
def test_image_and_label_keep_to_each_other(seed):
    label = blocks(61, 57)
    image, result = run(encode(label), label, seed, scale_range=(0.6, 2.0))
    inside = result != IGNORE
    # Away from edges of blocks, interpolation mixes equal reds: the image must say the label.
    quiet = inside.copy()
    for shift in np.ndindex(5, 5):
        quiet &= np.roll(result, np.array(shift) - 2, (0, 1)) == result
    quiet[:2] = quiet[-2:] = quiet[:, :2] = quiet[:, -2:] = False
    assert quiet.sum() > 100
    np.testing.assert_allclose(image[quiet][:, 0], result[quiet], atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_coordinates_follow_the_half_pixel_grid(seed):
    rows, columns = np.indices((90, 90))
    image = np.stack([rows, columns, rows], -1).astype(np.uint8)
    label = (rows // 9 * 10 + columns // 9).astype(np.int32)
    result, labels = run(image, label, seed, scale_range=(1.3, 1.3), crop_size=(64, 64))
    # The image's own red and green tell each pixel's place in the source: an oracle for the label.
    # A window of 64 / 1.3 = 49 pixels fills the crop; at its edges interpolation stops.
    row, column = result[..., 0], result[..., 1]
    steps = 49 / 64
    np.testing.assert_allclose(np.diff(row[1:-1], axis=0), steps, atol=1e-4)
    np.testing.assert_allclose(np.abs(np.diff(column[:, 1:-1], axis=1)), steps, atol=1e-4)
    expected = np.floor(row + 0.5) // 9 * 10 + np.floor(column + 0.5) // 9
    clear = (np.abs((row + 0.5) % 1) > 1e-3) & (np.abs((column + 0.5) % 1) > 1e-3)
    clear[[0, -1]] = clear[:, [0, -1]] = False
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(labels[clear], expected[clear])


@pytest.mark.parametrize("seed", range(5))
def test_at_scale_one_pixels_are_copied(seed):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (60, 70, 3), np.uint8)
    label = generator.integers(0, 200, (60, 70)).astype(np.int32)
    result, labels = run(image, label, seed, scale_range=(1, 1), flip=False)
    places = [
        (row, column)
        for row in range(60 - 48 + 1)
        for column in range(70 - 40 + 1)
        if np.array_equal(labels, label[row : row + 48, column : column + 40])
    ]
    assert len(places) == 1
    row, column = places[0]
    np.testing.assert_array_equal(result, image[row : row + 48, column : column + 40])


def test_every_place_of_the_crop_occurs():
    label = np.arange(51 * 42).reshape(51, 42).astype(np.int32)
    image = np.zeros((51, 42, 3), np.uint8)
    corners = {
        tuple(divmod(run(image, label, seed, scale_range=(1, 1), flip=False)[1][0, 0], 42))
        for seed in range(200)
    }
    assert corners == {(row, column) for row in range(4) for column in range(3)}


@pytest.mark.parametrize("seed", range(8))
def test_padding_is_the_mean_and_ignored(seed):
    image = np.full((35, 36, 3), 7, np.uint8)
    label = np.full((35, 36), 5, np.int32)
    strengths = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2}
    result, labels = run(
        image, label, seed, scale_range=(1, 1), pad_value=(10.5, 20.25, 30), **strengths
    )
    padded = labels == IGNORE
    assert padded.sum() == 48 * 40 - 35 * 36
    np.testing.assert_array_equal(
        result[padded], np.broadcast_to([10.5, 20.25, 30], (padded.sum(), 3))
    )
    rows, columns = np.where(~padded)
    assert np.ptp(rows) == 34
    assert np.ptp(columns) == 35


def test_flips_are_of_both_and_of_half():
    label = np.tile(np.arange(40, dtype=np.int32), (48, 1))
    image = encode(label)
    flipped = 0
    for seed in range(200):
        result, labels = run(image, label, seed, scale_range=(1, 1))
        turned = labels[0, 0] == 39
        flipped += turned
        np.testing.assert_array_equal(labels, label[:, ::-1] if turned else label)
        np.testing.assert_array_equal(result, image[:, ::-1] if turned else image)
    assert 70 <= flipped <= 130  # 100 +- 4 standard deviations


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_brightness_and_contrast_against_their_formulas(strength):
    generator = np.random.default_rng(0)
    image = generator.integers(90, 140, (48, 40, 3)).astype(np.uint8)
    label = np.zeros((48, 40), np.int32)
    plain = {"scale_range": (1, 1), "flip": False}
    factors = []
    for seed in range(30):
        result, _ = run(image, label, seed, brightness=strength, **plain)
        factor = result.sum() / image.sum()
        np.testing.assert_allclose(result, image * factor, rtol=1e-5)
        factors.append(factor)
        result, _ = run(image, label, seed, contrast=strength, **plain)
        factor = result.std() / image.std()
        mean = image.mean()
        np.testing.assert_allclose(result, mean + factor * (image - mean), rtol=1e-4)
    assert 1 - strength <= min(factors) < 1 < max(factors) <= 1 + strength


def test_saturation_keeps_grey_and_hue_keeps_brightest():
    grey = np.repeat(np.arange(48 * 40, dtype=np.uint16).reshape(48, 40, 1) % 256, 3, -1)
    label = np.zeros((48, 40), np.int32)
    plain = {"scale_range": (1, 1), "flip": False}
    result, _ = run(grey.astype(np.uint8), label, 1, saturation=1.0, **plain)
    np.testing.assert_allclose(result, grey, atol=1e-3)
    image = np.random.default_rng(1).integers(0, 256, (48, 40, 3), np.uint8)
    result, _ = run(image, label, 2, hue=0.5, **plain)
    assert np.abs(result - image).max() > 10
    np.testing.assert_allclose(result.max(-1), image.max(-1), atol=0.05)  # HSV's value


def test_colours_stay_in_range():
    image = np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (48, 40, 3))
    label = np.zeros((48, 40), np.int32)
    for seed in range(10):
        result, _ = run(image, label, seed, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.5)
        assert result.min() >= 0
        assert result.max() <= 255


def test_eager_and_tf_data_agree():
    label = blocks(61, 57)
    image, label = tf.constant(encode(label)), tf.constant(label)
    config = AugmentationConfig((48, 40), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)
    stream = tf.data.Dataset.range(4).map(lambda i: augment(image, label, [7, i], config, IGNORE))
    for seed, (in_graph, labels) in enumerate(stream):
        eager, eager_labels = augment(image, label, [7, seed], config, IGNORE)
        np.testing.assert_array_equal(labels, eager_labels)
        np.testing.assert_allclose(in_graph, eager, atol=1e-3)  # fused differently


@pytest.mark.parametrize(
    "setting, expected",
    [
        ({"crop_size": (32, 64)}, r"`augmentation.crop_size`: expected height and"),
        ({"scale_range": (2, 1)}, r"`augmentation.scale_range`: expected two factors above 0"),
        ({"scale_range": (0, 1)}, r"Received: \(0, 1\)"),
        ({"brightness": 1.5}, r"`augmentation.brightness`: expected .* 0 ... 1. Received: 1.5"),
        ({"hue": 0.6}, r"`augmentation.hue`: expected a share"),
        ({"pad_value": (0, 0, 256)}, r"`augmentation.pad_value`"),
    ],
)  # fmt: skip
def test_config_refuses(setting, expected):
    with pytest.raises(ValueError, match=expected):
        AugmentationConfig(**{"crop_size": (64, 64), **setting})
