"""The class cap, mosaic, copy-paste and ClassMix against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.data import AugmentationConfig
from keras_ctxseg.data.augment import augment
from keras_ctxseg.data.augmentation_config import MosaicConfig
from keras_ctxseg.data.augmentations.example import OUTSIDE, table
from keras_ctxseg.data.augmentations.mixing import mosaic, of_half_the_classes, paste
from keras_ctxseg.data.augmentations.window import largest_share, plan_varied_window

IGNORE = 255


def share_of(label):
    counts = np.bincount(label[label != IGNORE].ravel(), minlength=1)
    return counts.max() / counts.sum() if counts.sum() else 1.0


@pytest.mark.parametrize("ids", [(0, 1, 2, IGNORE), (7,), (IGNORE,), (9, IGNORE)])
def test_the_largest_share(rng, ids):
    label = rng.choice(ids, (30, 20), p=rng.dirichlet(np.ones(len(ids)))).astype(np.int32)
    np.testing.assert_allclose(largest_share(label, IGNORE), share_of(label), rtol=1e-6)


@pytest.mark.parametrize("max_share", [0.5, 0.65, 0.8])
def test_the_first_varied_window_is_taken_or_the_last(rng, max_share):
    taken = set()
    for _ in range(12):
        label = np.kron(rng.choice([0, 0, 0, 1, 2, IGNORE], (6, 6)), np.ones((10, 10), int))
        places = rng.uniform(size=(4, 2)).astype(np.float32)
        rows, columns = plan_varied_window(
            tf.constant(label, tf.int32), (18, 22), 1.0, places, max_share, IGNORE
        )
        starts = np.minimum((places * [60 - 18 + 1, 60 - 22 + 1]).astype(int), [42, 38])
        shares = [share_of(label[top : top + 18, left : left + 22]) for top, left in starts]
        expected = next((i for i, share in enumerate(shares[:-1]) if share < max_share), 3)
        assert (int(rows.start), int(columns.start)) == tuple(starts[expected])
        taken.add(expected)
    assert len(taken) > 1


def test_the_cap_reaches_the_crops():
    label = np.zeros((90, 90), np.int32)
    label[:45, :45] = 1
    image = np.zeros((90, 90, 3), np.uint8)

    def even_crops(ratio):
        config = AugmentationConfig((40, 40), scale_range=(1, 1), cat_max_ratio=ratio)
        labels = [augment(image, label, [0, seed], config, IGNORE)[1] for seed in range(40)]
        return np.mean([share_of(label.numpy()) < 0.75 for label in labels])

    assert even_crops(1.0) < 0.6 < 0.9 < even_crops(0.75)


def test_mosaic_sets_four_examples_into_the_corners():
    size = (40, 50)
    meetings = set()

    def corner(number):
        return lambda side: (
            tf.fill([*tf.unstack(side), 3], float(number)),
            tf.fill(side, number),
        )

    for seed in range(25):
        image, label = mosaic(
            [corner(number) for number in range(4)], size, tf.constant([0, seed]),
            MosaicConfig(1.0, (0.2, 0.6)),
        )  # fmt: skip
        row = np.argmax(label[:, 0] == 2)
        column = np.argmax(label[0] == 1)
        assert 8 <= row <= 24
        assert 10 <= column <= 30
        expected = 2 * (np.arange(40) >= row)[:, None] + (np.arange(50) >= column)
        np.testing.assert_array_equal(label, expected)
        np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, -1))
        meetings.add((row, column))
    assert len(meetings) > 20


def random_example(rng):
    return (
        rng.uniform(0, 255, (30, 20, 3)).astype(np.float32),
        rng.choice([1, 4, 9, 30, IGNORE, OUTSIDE], (30, 20)).astype(np.int32),
    )


def test_paste(rng):
    below, above = random_example(rng), random_example(rng)
    image, label = paste(below, above, table((4, 30)))
    mask = np.isin(above[1], (4, 30))
    np.testing.assert_array_equal(image, np.where(mask[..., None], above[0], below[0]))
    np.testing.assert_array_equal(label, np.where(mask, above[1], below[1]))


@pytest.mark.parametrize("present", [(), (5,), (0, 5), (0, 5, 9), (0, 5, 9, 200, 77)])
def test_half_of_the_classes(rng, present):
    label = rng.choice([*present, *present, IGNORE, OUTSIDE], (40, 40)).astype(np.int32)
    counts = np.zeros(OUTSIDE + 1)
    for seed in range(60):
        chosen = np.flatnonzero(of_half_the_classes(label, tf.constant([1, seed]), IGNORE))
        assert len(chosen) == len(present) // 2
        counts[chosen] += 1
    assert set(np.flatnonzero(counts)) == (set(present) if len(present) > 1 else set())
    if len(present) > 1:
        mean = 60 * (len(present) // 2) / len(present)
        np.testing.assert_allclose(counts[list(present)], mean, atol=4 * np.sqrt(mean))
