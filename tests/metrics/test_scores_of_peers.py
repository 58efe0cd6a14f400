"""The scores against four other packages', on random maps, to 1e-6."""

import numpy as np
import pytest

from keras_ctxseg.evaluation.image_counts import count_image
from keras_ctxseg.metrics import calibration_counts, calibration_errors, scores_from_confusion
from tests.metrics import peers

CLASSES = 8


@pytest.fixture
def maps(rng):
    """Three images; class 5 is predicted but never a label, class 7 is absent."""
    labels, predictions = [], []
    for size in ((20, 31), (33, 17), (24, 24)):
        label = rng.choice([0, 1, 2, 3, 4, 6, 255], size)
        guess = rng.integers(0, 7, size)
        labels.append(label)
        predictions.append(np.where((rng.random(size) < 0.6) & (label != 255), label, guess))
    return labels, predictions


def our_scores(labels, predictions, classes):
    confusion = sum(
        count_image(label, ids, None, classes, 255).confusion.dense(classes)
        for label, ids in zip(labels, predictions, strict=True)
    )
    return scores_from_confusion(confusion)


def assert_agrees(found, scores):
    assert found
    for name, value in found.items():
        ours = getattr(scores, name)
        if name.startswith("per_class"):  # Some packages say 0 for a class that is nowhere.
            value, ours = np.nan_to_num(value), np.nan_to_num(ours)
        np.testing.assert_allclose(value, ours, atol=1e-6, err_msg=name)


def test_scikit_learn(maps):
    assert_agrees(peers.scikit_learn(*maps, CLASSES), our_scores(*maps, CLASSES))


def test_tf_models(maps):
    assert_agrees(peers.tf_models(*maps, CLASSES), our_scores(*maps, CLASSES))


def test_cityscapesscripts(maps, tmp_path):
    assert_agrees(peers.cityscapesscripts(*maps, CLASSES, tmp_path), our_scores(*maps, CLASSES))


def test_torchmetrics(maps):
    assert_agrees(peers.torchmetrics(*maps, CLASSES), our_scores(*maps, CLASSES))


def test_torchmetrics_calibration(maps, rng):
    labels = maps[0]
    probabilities = [
        rng.dirichlet(np.ones(CLASSES), label.shape).astype("float32") for label in labels
    ]
    found = peers.torchmetrics_calibration(labels, probabilities, CLASSES)
    valid = np.concatenate([label[label != 255] for label in labels])
    shares = np.concatenate(
        [p[label != 255] for p, label in zip(probabilities, labels, strict=True)]
    )
    counts = calibration_counts(shares.max(-1), shares.argmax(-1) == valid)
    assert found["calibration_error"] == pytest.approx(calibration_errors(counts)[0], abs=1e-6)
