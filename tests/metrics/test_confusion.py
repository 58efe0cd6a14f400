"""Streaming metrics against scikit-learn and Keras' own MeanIoU."""

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from keras_ctxseg.metrics import ConfusionMatrix, MeanIoU, PixelAccuracy

IGNORE = 255
CLASSES = 5


def random_maps(seed, batch=2, height=9, width=11, ignored=0.2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (batch, height, width))
    predictions = np.where(
        rng.random(labels.shape) < 0.6, labels, rng.integers(0, CLASSES, labels.shape)
    )
    labels[rng.random(labels.shape) < ignored] = IGNORE
    return labels, predictions


def logits_for(predictions, seed=0):
    noise = np.random.default_rng(seed).random((*predictions.shape, CLASSES))
    return (noise + 2.0 * np.eye(CLASSES)[predictions]).astype("float32")


def as_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("give", ["ids", "logits"])
def test_streams_like_scikit_learn(give):
    metric = ConfusionMatrix(CLASSES)
    batches = [random_maps(seed) for seed in range(3)]
    for labels, predictions in batches:
        metric.update_state(labels, predictions if give == "ids" else logits_for(predictions))
    labels = np.concatenate([b[0].ravel() for b in batches])
    predictions = np.concatenate([b[1].ravel() for b in batches])
    valid = labels != IGNORE
    expected = confusion_matrix(labels[valid], predictions[valid], labels=range(CLASSES))
    np.testing.assert_array_equal(as_numpy(metric.result()), expected)
    assert int(metric.invalid) == 0
    metric.reset_state()
    assert as_numpy(metric.result()).sum() == 0


def test_mean_iou_and_pixel_accuracy_against_scikit_learn():
    labels, predictions = random_maps(4)
    labels[labels == 3] = 1
    predictions[predictions == 3] = 1  # class 3 is absent, class 2 is predicted but never a label
    labels[labels == 2] = 0
    valid = labels != IGNORE
    mean_iou, accuracy = MeanIoU(CLASSES), PixelAccuracy(CLASSES)
    mean_iou.update_state(labels, predictions)
    accuracy.update_state(labels, logits_for(predictions))
    expected = jaccard_score(
        labels[valid],
        predictions[valid],
        labels=[0, 1, 2, 4],
        average="macro",
        zero_division=0,
    )
    assert float(mean_iou.result()) == pytest.approx(expected, rel=1e-6)
    right = accuracy_score(labels[valid], predictions[valid])
    assert float(accuracy.result()) == pytest.approx(right, rel=1e-6)


def test_agrees_with_keras_mean_iou():
    labels, predictions = random_maps(5)
    ours, theirs = MeanIoU(CLASSES), keras.metrics.MeanIoU(CLASSES, ignore_class=IGNORE)
    ours.update_state(labels, predictions)
    theirs.update_state(labels, predictions)
    assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=1e-6)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX counts in int32 by default")
def test_counts_beyond_float32_and_int32():
    metric = ConfusionMatrix(CLASSES)
    start = 2**40 + 1
    metric.matrix.assign(np.full((CLASSES, CLASSES), start, "int64"))
    metric.update_state([[[1, 1, 2]]], [[[1, 1, 0]]])
    result = as_numpy(metric.result())
    assert result.dtype == np.int64
    assert result[1, 1] == start + 2
    assert result[2, 0] == start + 1
    assert result[0, 0] == start


def test_counts_beyond_what_float32_counts():
    metric = MeanIoU(CLASSES)
    start = 2**24
    metric.matrix.assign(np.eye(CLASSES, dtype="int64") * start)
    metric.update_state([[[1]]], [[[1]]])
    assert as_numpy(metric.matrix)[1, 1] == start + 1


@pytest.mark.parametrize("wrong", [CLASSES, 254, -1])
def test_wrong_ids_are_counted_apart_and_make_the_scores_nan(wrong):
    labels, predictions = random_maps(6)
    labels[0, 0, :3] = wrong
    metrics = ConfusionMatrix(CLASSES), MeanIoU(CLASSES), PixelAccuracy(CLASSES)
    for metric in metrics:
        metric.update_state(labels, predictions)
        assert int(metric.invalid) == 3
    counted = (labels >= 0) & (labels < CLASSES)
    assert as_numpy(metrics[0].result()).sum() == counted.sum()
    assert np.isnan(float(metrics[1].result()))
    assert np.isnan(float(metrics[2].result()))


def test_wrong_predictions_count_only_where_labels_are_valid():
    metric = ConfusionMatrix(CLASSES)
    metric.update_state([[[0, IGNORE, 1]]], [[[77, 77, 1]]])
    assert int(metric.invalid) == 1
    assert as_numpy(metric.result()).sum() == 1


@pytest.mark.parametrize("kind", [MeanIoU, PixelAccuracy])
def test_nothing_seen_is_zero(kind):
    metric = kind(CLASSES)
    assert float(metric.result()) == 0.0
    metric.update_state(np.full((1, 2, 2), IGNORE), np.zeros((1, 2, 2), int))
    assert float(metric.result()) == 0.0


def test_weight_zero_leaves_out():
    labels, predictions = random_maps(7)
    weighted, plain = ConfusionMatrix(CLASSES), ConfusionMatrix(CLASSES)
    weighted.update_state(labels, predictions, sample_weight=np.array([0.5, 0.0]))
    plain.update_state(labels[:1], predictions[:1])
    np.testing.assert_array_equal(as_numpy(weighted.result()), as_numpy(plain.result()))


@pytest.mark.parametrize("kind", [ConfusionMatrix, MeanIoU, PixelAccuracy])
def test_serialises(kind):
    metric = kind(7, ignore_label=11, name="x")
    config = keras.metrics.serialize(metric)
    assert config["registered_name"] == f"keras_ctxseg>{kind.__name__}"
    assert keras.metrics.deserialize(config).get_config() == metric.get_config()


def test_errors_name_what_is_wrong():
    labels, predictions = random_maps(8)
    with pytest.raises(ValueError, match="MeanIoU has num_classes=3, but the logits have 5"):
        MeanIoU(3).update_state(labels, logits_for(predictions))
    with pytest.raises(ValueError, match=r"\(2, 9, 11\).*\(2, 9, 10\)"):
        ConfusionMatrix(CLASSES).update_state(labels, predictions[:, :, :10])
    with pytest.raises(ValueError, match="num_classes.*0"):
        ConfusionMatrix(0)
    with pytest.raises(ValueError, match="float32"):
        ConfusionMatrix(2, dtype="float32")
