"""Counts of one image against masks class by class, eroded and dilated as the papers define."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import confusion_matrix

from keras_ctxseg.evaluation.image_counts import (
    DISTANCES,
    SparseConfusion,
    contour_distances,
    contour_width,
    count_image,
    edge_distances,
)

CLASSES, IGNORED = 5, 255
BOX = np.ones((3, 3), bool)


def blobs(rng, size, cell, void=False):
    small = rng.integers(0, CLASSES, [-(-side // cell) for side in size])
    ids = small.repeat(cell, 0).repeat(cell, 1)[: size[0], : size[1]]
    if void:
        ids[size[0] // 3 : size[0] // 2, : size[1] // 3] = IGNORED
    return ids


@pytest.fixture(params=[(60, 83), (7, 40), (31, 31)])
def maps(request, rng):
    label = blobs(rng, request.param, 9, void=True)
    prediction = np.roll(blobs(rng, request.param, 9), 2, axis=1)
    agree = rng.random(request.param) < 0.5
    prediction = np.where(agree & (label != IGNORED), label, prediction)
    prediction = ndimage.median_filter(prediction, 3)
    return label, prediction, rng.random(request.param).astype("float32")


def test_distances_equal_a_search(rng):
    ids = blobs(rng, (21, 30), 6)
    distances = contour_distances(ids)
    for y, x in rng.integers(0, (21, 30), (60, 2)):
        others = np.argwhere(ids != ids[y, x])
        assert distances[y, x] == np.abs(others - (y, x)).max(axis=1).min()
    assert (contour_distances(np.ones((4, 9), int)) == 13).all()
    assert edge_distances(4, 5).tolist() == [[1] * 5, [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], [1] * 5]


def inner_contour(mask, width):
    """A mask less itself eroded `width` times by 3x3 boxes; outside the image is no mask."""
    return mask & ~ndimage.binary_erosion(mask, BOX, iterations=width, border_value=0)


def test_contours_equal_erosion_class_by_class(maps):
    label, prediction, confidence = maps
    counts = count_image(label, prediction, confidence, CLASSES, IGNORED).contour
    widths = (contour_width(*label.shape), *DISTANCES)
    for found, width in zip([counts.boundary, *counts.contours], widths, strict=True):
        for k in range(CLASSES):
            truth = inner_contour(label == k, width)
            guess = inner_contour((prediction == k) & (label != IGNORED), width)
            expected = [(truth & guess).sum(), truth.sum(), guess.sum()]
            assert found[:, k].tolist() == expected, (width, k)


def test_trimaps_equal_dilated_edges(maps):
    label, prediction, confidence = maps
    trimaps = count_image(label, prediction, confidence, CLASSES, IGNORED).contour.trimap
    for found, distance in zip(trimaps, DISTANCES, strict=True):
        near = np.zeros(label.shape, bool)
        for k in (*range(CLASSES), IGNORED):
            mask = label == k
            near |= mask & ndimage.binary_dilation(~mask, BOX, iterations=distance)
        band = near & (label != IGNORED)
        matrix = confusion_matrix(label[band], prediction[band], labels=range(CLASSES))
        np.testing.assert_array_equal(found[0], np.diag(matrix))
        np.testing.assert_array_equal(found[1], matrix.sum(axis=1))
        np.testing.assert_array_equal(found[2], matrix.sum(axis=0))


def test_confusion_is_sparse_and_calibration_counts_valid_pixels(maps):
    label, prediction, confidence = maps
    counts = count_image(label, prediction, confidence, CLASSES, IGNORED)
    valid = label != IGNORED
    expected = confusion_matrix(label[valid], prediction[valid], labels=range(CLASSES))
    np.testing.assert_array_equal(counts.confusion.dense(CLASSES), expected)
    assert (counts.confusion.counts > 0).all()
    assert counts.calibration.pixels.sum() == valid.sum()
    assert counts.calibration.right.sum() == np.trace(expected)
    assert counts.calibration.confidence.sum() == pytest.approx(confidence[valid].sum(), rel=1e-5)
    plain = count_image(label, prediction, None, CLASSES, IGNORED)
    assert plain.contour is None and plain.calibration is None


def test_width_follows_the_diagonal():
    assert contour_width(360, 480) == 12
    assert contour_width(20, 20) == 1


def test_nothing_counts_where_everything_is_ignored():
    counts = count_image(
        np.full((5, 6), IGNORED), np.zeros((5, 6), int), np.ones((5, 6)), CLASSES, IGNORED
    )
    assert not counts.confusion.counts.size
    assert not counts.contour.boundary.any() and not counts.calibration.pixels.any()


def test_wrong_labels_are_named():
    label = np.array([[0, 7, 255, -3]])
    with pytest.raises(ValueError, match=r"ids 0 \.\.\. 4 or the ignore label 255.*\[-3, 7\]"):
        count_image(label, np.zeros_like(label), None, CLASSES, IGNORED)


def test_sparse_matrices_are_flat_and_ascending():
    sparse = SparseConfusion.of(np.array([[0, 2], [5, 0]]))
    assert sparse.cells.tolist() == [1, 2] and sparse.counts.tolist() == [2, 5]
