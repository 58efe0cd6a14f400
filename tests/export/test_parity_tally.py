"""What a comparison counts: equal labels, ties, softmax differences, mean IoU."""

from pathlib import Path

import numpy as np
import pytest

from keras_ctxseg.export import ExportError
from keras_ctxseg.export.parity.check import _groups
from keras_ctxseg.export.parity.report import TIE
from keras_ctxseg.export.parity.tally import Limits, Tally

CLASSES = 4


@pytest.fixture
def reference(rng):
    """Logits whose best class is 2, by at least 1."""
    logits = rng.uniform(-3, 3, (6, 10, CLASSES)).astype("float32")
    logits[..., 2] = logits.max(axis=-1) + 1
    return logits


def report(*additions):
    tally = Tally(Path("export"))
    for addition in additions:
        tally.add(*addition)
    return tally.report(Limits())


def test_only_pixels_that_keras_is_sure_of_count_against_it(reference):
    labels = np.full(reference.shape[:2], 2)
    labels[0, :3] = 1  # Three pixels of another class:
    reference[0, 0, 1] = reference[0, 0, 2] - TIE / 2  # equal but for rounding,
    reference[0, 1, 1] = reference[0, 1, 2] - TIE * 2  # nearly,
    found = report((reference, None, labels))  # and by far.
    assert found.label_agreement == 57 / 60
    assert found.ties == 1 / 60
    assert not found.passed
    assert "labels agree on 95.0000 % and tie on 1.6667 % (limit 99.99 %)" in str(found)
    labels[0, 1:3] = 2
    assert report((reference, None, labels)).passed


def test_a_tie_is_one_of_the_two_best_classes(reference):
    labels = np.full(reference.shape[:2], 2)
    reference[0, 0, 1] = reference[0, 0, 2]  # Keras takes the first of equals,
    labels[0, 0] = 3  # and the export neither.
    reference[0, 0, 3] = reference[0, 0, 2] - 1
    found = report((reference, None, labels))
    assert (found.label_agreement, found.ties) == (59 / 60, 0)


def test_ties_of_small_logits_are_not_made_by_the_softmax(rng):
    # Apart by more than float32's steps near 0, and less than those near 1/4.
    logits = np.zeros((5, 8, CLASSES), np.float32)
    best = rng.integers(0, CLASSES, (5, 8))
    np.put_along_axis(logits, best[..., None], 1e-9, axis=-1)
    assert report((logits, logits, best)).label_agreement == 1.0


def test_differences_are_of_the_softmax(reference, rng):
    other = reference + rng.normal(0, 0.1, reference.shape).astype("float32")

    def softmax(logits):
        exponents = np.exp(np.float64(logits))
        return exponents / exponents.sum(-1, keepdims=True)

    difference = np.abs(softmax(other) - softmax(reference))
    labels = np.full(reference.shape[:2], 2)
    found = report((reference, other, labels), (reference, reference, labels))
    assert found.max_softmax_difference == pytest.approx(difference.max(), rel=1e-4)
    assert found.mean_softmax_difference == pytest.approx(difference.mean() / 2, rel=1e-4)
    assert (found.images, found.pixels) == (2, 120)
    other[3, 3, 0] = np.nan
    assert not report((reference, other, labels)).passed


def test_classes_that_the_model_has_not(reference):
    labels = np.full(reference.shape[:2], CLASSES)
    with pytest.raises(ExportError, match="export: expected class ids below 4. Received 4"):
        report((reference, None, labels))


def test_images_are_compared_in_groups_of_bounded_logits(monkeypatch):
    monkeypatch.setattr("keras_ctxseg.export.parity.check._GROUP_BYTES", 4 * 5 * 100)
    images = [np.zeros((10, side, 3), np.uint8) for side in (4, 6, 1, 30, 2, 2)]
    widths = [[image.shape[1] for image in group] for group in _groups(images, classes=5)]
    assert widths == [[4, 6], [1], [30], [2, 2]]
