"""The instance branch's losses against loops over things in NumPy."""

import keras
import numpy as np
import pytest

from keras_ctxseg.labels.panoptic import CROWD, panoptic_labels
from keras_ctxseg.losses import CenterHeatmapLoss, CenterOffsetLoss

SIZE = (37, 53)


@pytest.fixture
def labels(rng):
    """Three images: overlapping things with gaps in their numbers, a crowd, ignored pixels."""
    labels = rng.integers(0, 3, (3, *SIZE))
    for number in (1, 2, 5, 40):
        for image in labels[:2]:
            top, left = rng.integers(0, 30), rng.integers(0, 40)
            image[top : top + rng.integers(1, 12), left : left + rng.integers(1, 16)] = (
                panoptic_labels(int(rng.integers(3, 6)), number)
            )
    labels[0, :4] = 255
    labels[1, :, :6] = panoptic_labels(4, CROWD)
    return labels.astype("int32")


def targets(label, sigma):
    """Heat map, offsets, pixels that count, pixels of things; one thing after the other."""
    heat, offsets = np.zeros(SIZE), np.zeros((*SIZE, 2))
    rows, columns = np.indices(SIZE)
    counted = (label % 1024 != 255) & (label // 1024 != CROWD)
    things = counted & (label >= 1024)
    for value in np.unique(label[things]):
        mine = label == value
        center = np.array([rows[mine].mean(), columns[mine].mean()])
        row, column = np.round(center)
        distance = (rows - row) ** 2 + (columns - column) ** 2
        heat = np.maximum(heat, np.exp(-distance / (2 * sigma**2)))
        offsets[mine] = center - np.stack([rows[mine], columns[mine]], -1)
    return heat, offsets, counted, things


def test_heatmap_loss(rng, labels):
    output = rng.normal(0, 1, (*labels.shape, 1)).astype("float32")
    parts = [targets(label, 4.0) for label in labels]
    errors = [(output[k, ..., 0] - heat) ** 2 for k, (heat, *_) in enumerate(parts)]
    counted = np.stack([part[2] for part in parts])
    expected = np.stack(errors)[counted].mean()
    loss = CenterHeatmapLoss(255, sigma=4.0)
    np.testing.assert_allclose(float(loss(labels, output)), expected, rtol=1e-5)
    # Exactly 1 at the pixel nearest to each thing's centre.
    perfect = np.stack([part[0] for part in parts])[..., None]
    assert perfect.max() == 1 and float(loss(labels, perfect)) < 1e-12

    weights = rng.uniform(0, 2, 3).astype("float32")
    weighted = sum(w * e[c].sum() for w, e, c in zip(weights, errors, counted, strict=True))
    expected = weighted / (weights * counted.sum((1, 2))).sum()
    np.testing.assert_allclose(float(loss(labels, output, weights)), expected, rtol=1e-5)


def test_offset_loss(rng, labels):
    output = rng.normal(0, 9, (*labels.shape, 2)).astype("float32")
    parts = [targets(label, 1.0) for label in labels]
    errors = [np.abs(output[k] - part[1]).sum(-1)[part[3]] for k, part in enumerate(parts)]
    loss = CenterOffsetLoss(255)
    np.testing.assert_allclose(
        float(loss(labels, output)), np.concatenate(errors).mean(), rtol=1e-5
    )
    perfect = np.stack([part[1] for part in parts])
    assert float(loss(labels, perfect)) < 1e-4  # float32 of places up to 53


def test_images_without_things_or_pixels(rng):
    """No thing: no offset loss and no gradient; nothing valid: none of the other either."""
    output = keras.ops.convert_to_tensor(rng.normal(0, 1, (1, *SIZE, 2)).astype("float32"))
    stuff = np.zeros((1, *SIZE), "int32")
    assert float(CenterOffsetLoss()(stuff, output)) == 0
    assert float(CenterHeatmapLoss()(stuff + 255, output[..., :1])) == 0
    nowhere = CenterHeatmapLoss()(stuff, output[..., :1])
    np.testing.assert_allclose(
        float(nowhere), float((output[..., 0] ** 2).numpy().mean()), rtol=1e-5
    )


def test_large_things_are_met_to_the_pixel():
    """Sums of places go beyond what float32 and int32 can hold."""
    label = np.full((1, 1500, 2200), 1024 + 1, "int32")
    rows, columns = np.indices(label.shape[1:])
    offsets = np.stack([749.5 - rows, 1099.5 - columns], -1)[None].astype("float32")
    assert float(CenterOffsetLoss()(label, offsets)) < 1e-3


def test_numbers_out_of_range_raise_the_alarm(labels):
    labels[0, 20, 20] = panoptic_labels(3, 4096)
    heat = np.zeros((*labels.shape, 1), "float32")
    assert np.isnan(float(CenterHeatmapLoss()(labels, heat)))
    assert np.isnan(float(CenterOffsetLoss()(labels, np.zeros((*labels.shape, 2), "float32"))))


def test_shapes_that_disagree(labels):
    with pytest.raises(ValueError, match=r"CenterOffsetLoss expects .*\(3, 37, 53, 1\)"):
        CenterOffsetLoss()(labels, np.zeros((*labels.shape, 1), "float32"))
    with pytest.raises(ValueError, match="`sigma` must be above 0"):
        CenterHeatmapLoss(sigma=0.0)


def test_both_serialise(labels):
    for loss in (CenterHeatmapLoss(7, sigma=3.0), CenterOffsetLoss(7)):
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.get_config() == loss.get_config()
