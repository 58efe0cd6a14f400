"""The loss against a float64 NumPy transcription, Keras' own losses, and its own gradient."""

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss

from keras_ctxseg.losses import SegmentationCrossentropy

IGNORE = 255
TOLERANCE = 2e-6  # relative; float32 against float64


def random_case(seed=0, batch=2, height=5, width=7, classes=4, ignored=0.3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, (batch, height, width, classes)).astype("float32")
    labels = rng.integers(0, classes, (batch, height, width))
    labels[rng.random(labels.shape) < ignored] = IGNORE
    return labels, logits


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def oracle(
    labels,
    logits,
    class_weights=None,
    label_smoothing=0.0,
    fraction=1.0,
    sample_weight=None,
):
    """Loss and gradient in float64, pixel by pixel."""
    logits = logits.astype("float64")
    classes = logits.shape[-1]
    gradient = np.zeros_like(logits)
    rows = []
    for index in np.ndindex(labels.shape):
        label = labels[index]
        if label == IGNORE:
            continue
        weight = 1.0 if class_weights is None else class_weights[label]
        if sample_weight is not None:
            weight *= sample_weight[index]
        target = np.full(classes, label_smoothing / classes)
        target[label] += 1.0 - label_smoothing
        probabilities = softmax(logits[index])
        rows.append((weight * -(target @ np.log(probabilities)), weight, index))
        gradient[index] = weight * (probabilities - target)
    rows.sort(key=lambda row: -row[0])
    kept = int(np.ceil(fraction * sum(weight > 0 for _, weight, _ in rows) - 1e-9))
    total = sum(loss for loss, _, _ in rows[:kept])
    weights = sum(weight for _, weight, _ in rows[:kept])
    for _, _, index in rows[kept:]:
        gradient[index] = 0.0
    return total / weights, gradient / weights


OPTIONS = {
    "plain": {},
    "class_weights": {"class_weights": [0.5, 2.0, 1.0, 3.0]},
    "zero_class_weight": {"class_weights": [0.0, 2.0, 1.0, 3.0]},
    "label_smoothing": {"label_smoothing": 0.1},
    "top_k": {"top_k_fraction": 0.3},
    "all": {
        "class_weights": [0.5, 2.0, 1.0, 3.0],
        "label_smoothing": 0.2,
        "top_k_fraction": 0.25,
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient_match_float64_transcription(value_and_gradient, options, seed):
    labels, logits = random_case(seed)
    loss = SegmentationCrossentropy(**options)
    value, gradient = value_and_gradient(lambda x: loss(labels, x), logits)
    named = dict(options)
    named["fraction"] = named.pop("top_k_fraction", 1.0)
    expected, expected_gradient = oracle(labels, logits, **named)
    np.testing.assert_allclose(value, expected, rtol=TOLERANCE)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-8)


def test_gradient_matches_finite_differences(value_and_gradient):
    labels, logits = random_case(3, batch=1, height=2, width=3)
    loss = SegmentationCrossentropy(class_weights=[1.0, 2.0, 0.5, 1.5], label_smoothing=0.05)
    _, gradient = value_and_gradient(lambda x: loss(labels, x), logits)
    options = {"class_weights": [1.0, 2.0, 0.5, 1.5], "label_smoothing": 0.05}
    step = 1e-5
    for index in np.ndindex(logits.shape):
        up, down = logits.astype("float64"), logits.astype("float64")
        up[index] += step
        down[index] -= step
        slope = (oracle(labels, up, **options)[0] - oracle(labels, down, **options)[0]) / (2 * step)
        assert gradient[index] == pytest.approx(slope, abs=1e-6)


def test_agrees_with_scikit_learn():
    labels, logits = random_case(4, ignored=0.2)
    valid = labels != IGNORE
    expected = log_loss(labels[valid], softmax(logits.astype("float64"))[valid], labels=range(4))
    assert float(SegmentationCrossentropy()(labels, logits)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
def test_equals_keras_categorical_crossentropy(smoothing):
    labels, logits = random_case(5, ignored=0.0)
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = float(keras_loss(np.eye(4, dtype="float32")[labels], logits))
    ours = SegmentationCrossentropy(label_smoothing=smoothing)
    assert float(ours(labels, logits)) == pytest.approx(expected, rel=1e-6)


def test_mean_runs_over_the_batch_not_over_images():
    labels, logits = random_case(6, ignored=0.0)
    labels[0, :, :] = IGNORE
    labels[0, 0, 0] = 1
    expected, _ = oracle(labels, logits)
    assert float(SegmentationCrossentropy()(labels, logits)) == pytest.approx(expected, rel=1e-6)


def test_sample_weights_per_image_and_per_pixel():
    labels, logits = random_case(7)
    loss = SegmentationCrossentropy()
    per_image = np.array([0.25, 2.0], "float32")
    per_pixel = np.broadcast_to(per_image[:, None, None], labels.shape)
    expected, _ = oracle(labels, logits, sample_weight=per_pixel)
    assert float(loss(labels, logits, per_image)) == pytest.approx(expected, rel=1e-6)
    assert float(loss(labels, logits, per_pixel)) == pytest.approx(expected, rel=1e-6)
    only_first = float(loss(labels, logits, np.array([1.0, 0.0], "float32")))
    assert only_first == pytest.approx(float(loss(labels[:1], logits[:1])), rel=1e-6)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_nothing_valid_gives_zero_and_zero_gradient(value_and_gradient, options):
    labels, logits = random_case(8)
    labels[:] = IGNORE
    loss = SegmentationCrossentropy(**options)
    value, gradient = value_and_gradient(lambda x: loss(labels, x), logits)
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros_like(logits))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_absurd_logits_of_ignored_pixels_change_nothing(value_and_gradient, options):
    labels, logits = random_case(9)
    loss = SegmentationCrossentropy(**options)
    clean = value_and_gradient(lambda x: loss(labels, x), logits)
    absurd = logits.copy()
    absurd[labels == IGNORE] = [3e38, -3e38, 1e30, 0.0]
    value, gradient = value_and_gradient(lambda x: loss(labels, x), absurd)
    np.testing.assert_array_equal(value, clean[0])
    np.testing.assert_array_equal(gradient, clean[1])


@pytest.mark.parametrize("fraction", [0.0001, 0.1, 0.3, 0.5, 0.9999, 1.0])
@pytest.mark.parametrize("valid", [1, 3, 10, 11])
def test_hardest_pixels_are_counted_exactly(fraction, valid):
    rng = np.random.default_rng(valid)
    labels = np.full((1, 1, 20), IGNORE)
    labels[0, 0, rng.permutation(20)[:valid]] = 1
    logits = rng.normal(size=(1, 1, 20, 3)).astype("float32")
    loss = SegmentationCrossentropy(top_k_fraction=fraction)
    _, count = loss.sum_and_count(labels, logits)
    # Whole numbers, so that 0.1 * 10 pixels are 1 and not 2.
    assert float(count) == -(-round(fraction * 10_000) * valid // 10_000)


def test_equal_losses_share_the_places_that_are_left(value_and_gradient):
    labels = np.zeros((1, 2, 4), "int32")
    logits = np.zeros((1, 2, 4, 3), "float32")
    loss = SegmentationCrossentropy(top_k_fraction=0.25)
    value, gradient = value_and_gradient(lambda x: loss(labels, x), logits)
    assert value == pytest.approx(np.log(3.0), rel=1e-6)
    everywhere = (np.full(3, 1 / 3) - np.eye(3)[0]) / 8
    np.testing.assert_allclose(gradient, np.broadcast_to(everywhere, gradient.shape), rtol=1e-6)


@pytest.mark.parametrize("wrong", [4, 254, -1])
@pytest.mark.parametrize("everywhere", [False, True])
def test_an_id_that_is_no_class_makes_the_loss_nan(wrong, everywhere):
    labels, logits = random_case(10)
    if everywhere:
        labels[:] = wrong
    labels[1, 2, 3] = wrong
    assert np.isnan(float(SegmentationCrossentropy()(labels, logits)))
    assert np.isnan(float(SegmentationCrossentropy(top_k_fraction=0.5)(labels, logits)))


def test_other_ignore_labels():
    labels, logits = random_case(11)
    renamed = np.where(labels == IGNORE, -1, labels)
    expected = float(SegmentationCrossentropy()(labels, logits))
    assert float(SegmentationCrossentropy(ignore_label=-1)(renamed, logits)) == expected
    without_class_0, _ = oracle(np.where(labels == 0, IGNORE, labels), logits)
    no_void = np.where(labels == IGNORE, 0, labels)
    value = float(SegmentationCrossentropy(ignore_label=0)(no_void, logits))
    assert value == pytest.approx(without_class_0, rel=1e-6)


def test_half_precision_logits_are_summed_in_float32():
    rng = np.random.default_rng(12)
    labels = rng.integers(0, 3, (1, 300, 300))
    logits = rng.normal(size=(1, 300, 300, 3)).astype("float16")
    expected, _ = oracle(labels, logits)
    value = SegmentationCrossentropy()(labels, keras.ops.convert_to_tensor(logits))
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_serialises():
    loss = SegmentationCrossentropy(
        ignore_label=11,
        class_weights=[1, 2],
        label_smoothing=0.1,
        top_k_fraction=0.5,
        name="x",
    )
    config = keras.losses.serialize(loss)
    assert config["registered_name"] == "keras_ctxseg>SegmentationCrossentropy"
    again = keras.losses.deserialize(config)
    assert again.get_config() == loss.get_config()


def test_errors_name_what_is_wrong():
    labels, logits = random_case(13)
    with pytest.raises(ValueError, match=r"resize the logits.*\(2, 5, 6\).*\(2, 5, 7, 4\)"):
        SegmentationCrossentropy()(labels[:, :, :6], logits)
    with pytest.raises(ValueError, match=r"\(batch, height, width\).*\(2, 5, 7, 1\)"):
        SegmentationCrossentropy()(labels[..., None], logits)
    with pytest.raises(ValueError, match="each of the 4 classes.*3 weights"):
        SegmentationCrossentropy(class_weights=[1, 2, 3])(labels, logits)
    with pytest.raises(ValueError, match="class_weights.*-1.0"):
        SegmentationCrossentropy(class_weights=[1, -1])
    with pytest.raises(ValueError, match="label_smoothing=1.0"):
        SegmentationCrossentropy(label_smoothing=1.0)
    with pytest.raises(ValueError, match="top_k_fraction=0"):
        SegmentationCrossentropy(top_k_fraction=0)
    with pytest.raises(ValueError, match=r"`sample_weight`.*\(2, 5\)"):
        SegmentationCrossentropy()(labels, logits, np.ones((2, 5)))
