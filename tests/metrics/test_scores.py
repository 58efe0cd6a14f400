"""Scores from a confusion matrix against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
)

from keras_ctxseg.metrics import scores_from_confusion


@pytest.mark.parametrize("seed", range(4))
def test_scores_match_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, 500)
    predictions = np.where(rng.random(500) < 0.5, labels, rng.integers(0, 6, 500))
    scores = scores_from_confusion(confusion_matrix(labels, predictions, labels=range(6)))
    per_class = jaccard_score(labels, predictions, average=None)
    np.testing.assert_allclose(scores.per_class_iou, per_class, rtol=1e-12)
    assert scores.mean_iou == pytest.approx(per_class.mean(), rel=1e-12)
    f1 = f1_score(labels, predictions, average=None)
    np.testing.assert_allclose(scores.per_class_f1, f1, rtol=1e-12)
    assert scores.mean_f1 == pytest.approx(f1.mean(), rel=1e-12)
    precision = precision_score(labels, predictions, average=None)
    np.testing.assert_allclose(scores.per_class_precision, precision, rtol=1e-12)
    assert scores.mean_precision == pytest.approx(precision.mean(), rel=1e-12)
    assert scores.pixel_accuracy == pytest.approx(accuracy_score(labels, predictions), rel=1e-12)
    balanced = balanced_accuracy_score(labels, predictions)
    assert scores.mean_accuracy == pytest.approx(balanced, rel=1e-12)
    weighted = jaccard_score(labels, predictions, average="weighted")
    assert scores.frequency_weighted_iou == pytest.approx(weighted, rel=1e-12)
    assert scores.present.all()


def test_absent_classes_are_left_out_and_false_alarms_are_not():
    #                 class 1 is absent; class 2 is predicted but never a label
    scores = scores_from_confusion([[6, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 3]])
    np.testing.assert_array_equal(scores.present, [True, False, True, True])
    np.testing.assert_allclose(scores.per_class_iou, [6 / 9, np.nan, 0.0, 3 / 4])
    assert scores.mean_iou == pytest.approx((6 / 9 + 0.0 + 3 / 4) / 3)
    np.testing.assert_allclose(scores.per_class_accuracy, [6 / 8, np.nan, np.nan, 3 / 4])
    assert scores.mean_accuracy == pytest.approx((6 / 8 + 3 / 4) / 2)
    np.testing.assert_allclose(scores.per_class_precision, [6 / 7, np.nan, 0.0, 1.0])
    assert scores.mean_precision == pytest.approx((6 / 7 + 0.0 + 1.0) / 3)
    np.testing.assert_allclose(scores.per_class_f1, [12 / 15, np.nan, 0.0, 6 / 7])


def test_empty_matrix_gives_nan_without_warning(recwarn):
    scores = scores_from_confusion(np.zeros((3, 3), int))
    assert np.isnan([scores.mean_iou, scores.pixel_accuracy, scores.mean_accuracy]).all()
    assert not scores.present.any()
    assert not recwarn.list


def test_counts_above_float32_precision():
    start = 2**53 - 10
    scores = scores_from_confusion(np.array([[start, 0], [1, 0]]))
    assert scores.per_class_iou[0] == start / (start + 1)


def test_errors():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        scores_from_confusion(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="negative"):
        scores_from_confusion([[1, -1], [0, 1]])
