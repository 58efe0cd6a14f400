"""Focal, Tversky, Dice, Jaccard, Lovász-softmax and boundary loss against their definitions."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from keras_ctxseg.losses import (
    BoundaryLoss,
    DiceLoss,
    FocalLoss,
    JaccardLoss,
    LovaszSoftmaxLoss,
    SegmentationCrossentropy,
    TverskyLoss,
)

CLASSES = 4
ALL = [
    FocalLoss(),
    TverskyLoss(),
    DiceLoss(),
    JaccardLoss(smooth=1.0),
    LovaszSoftmaxLoss(),
    BoundaryLoss(),
]
each = pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)


@pytest.fixture
def batch(rng):
    """Labels of blocks, a class that occurs once and one that never does, and some ignored."""
    labels = rng.integers(0, CLASSES - 1, (2, 4, 5)).repeat(3, 1).repeat(3, 2)
    labels[labels == 2] = 0
    labels[1, 4, 4] = 2
    labels[:, :3, 3:7] = 255
    return labels, rng.normal(scale=2.0, size=(*labels.shape, CLASSES)).astype("float32")


def valid_pixels(labels, logits):
    """Class ids (n,) and probabilities (n, classes) of what counts, in float64."""
    logits = logits.astype("float64")
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    return labels[labels != 255], probabilities[labels != 255]


def tversky(labels, logits, alpha, beta, smooth=0.0):
    ids, probabilities = valid_pixels(labels, logits)
    losses = []
    for one in np.unique(ids):
        inside, outside = probabilities[ids == one, one], probabilities[ids != one, one]
        both = inside.sum() + smooth
        index = both / (both + alpha * outside.sum() + beta * (1 - inside).sum())
        losses.append(1 - index)
    return np.mean(losses)


def jaccard_of_sets(wrong, inside):
    """Jaccard loss where `wrong` pixels are mistaken: Berman et al., the Jaccard set function."""
    return wrong.sum() / (inside | wrong).sum()


def lovasz(labels, logits):
    """The extension by its definition: errors in falling order, set by set."""
    ids, probabilities = valid_pixels(labels, logits)
    losses = []
    for one in np.unique(ids):
        inside = ids == one
        errors = np.where(inside, 1 - probabilities[:, one], probabilities[:, one])
        wrong = np.zeros(len(ids), bool)
        before = total = 0.0
        for pixel in np.argsort(-errors, kind="stable"):
            wrong[pixel] = True
            now = jaccard_of_sets(wrong, inside)
            total += errors[pixel] * (now - before)
            before = now
        losses.append(total)
    return np.mean(losses)


def boundary(labels, logits, width=3, tolerance=5):
    _, probabilities = valid_pixels(labels, logits)
    valid = labels != 255
    full = np.zeros((*labels.shape, CLASSES))
    full[valid] = probabilities
    losses = []
    for one in range(CLASSES):
        edges = []
        for region in (np.float64(labels == one), full[..., one]):
            outside = np.where(valid, 1 - region, 0)
            grown = ndimage.grey_dilation(outside, (1, width, width), mode="nearest")
            edges.append(np.where(valid, grown - outside, 0))
        labelled, predicted = edges
        if not labelled.any():
            continue
        near = [ndimage.grey_dilation(edge, (1, tolerance, tolerance)) for edge in edges]
        precision = (predicted * near[0]).sum() / predicted.sum()
        recall = (labelled * near[1]).sum() / labelled.sum()
        losses.append(1 - 2 * precision * recall / (precision + recall))
    return np.mean(losses)


def focal(labels, logits, gamma):
    ids, probabilities = valid_pixels(labels, logits)
    own = probabilities[np.arange(len(ids)), ids]
    return np.mean(-((1 - own) ** gamma) * np.log(own))


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (TverskyLoss(0.2, 0.9), lambda *batch: tversky(*batch, 0.2, 0.9)),
        (TverskyLoss(smooth=5.0), lambda *batch: tversky(*batch, 0.3, 0.7, 5.0)),
        (DiceLoss(), lambda *batch: tversky(*batch, 0.5, 0.5)),
        (JaccardLoss(smooth=2.0), lambda *batch: tversky(*batch, 1.0, 1.0, 2.0)),
        (FocalLoss(), lambda *batch: focal(*batch, 2.0)),
        (FocalLoss(gamma=1.5), lambda *batch: focal(*batch, 1.5)),
        (LovaszSoftmaxLoss(), lovasz),
        (BoundaryLoss(), boundary),
        (BoundaryLoss(width=5, tolerance=3), lambda *batch: boundary(*batch, 5, 3)),
    ],
)
def test_the_value_is_the_formulas(batch, loss, formula):
    assert float(loss(*batch)) == pytest.approx(formula(*batch), rel=2e-5)


def test_focal_without_gamma_is_cross_entropy(batch):
    value = float(FocalLoss(gamma=0)(*batch))
    assert value == pytest.approx(float(SegmentationCrossentropy()(*batch)), rel=1e-6)


def test_lovasz_of_sure_predictions_is_the_jaccard_loss(batch):
    labels, logits = batch
    predicted = logits.argmax(-1)
    sure = 200.0 * np.eye(CLASSES, dtype="float32")[predicted]
    ids, guessed = labels[labels != 255], predicted[labels != 255]
    ratios = [
        ((ids == one) & (guessed == one)).sum() / ((ids == one) | (guessed == one)).sum()
        for one in np.unique(ids)
    ]
    for loss in (LovaszSoftmaxLoss(), JaccardLoss()):
        assert float(loss(labels, sure)) == pytest.approx(1 - np.mean(ratios), rel=1e-5)


@each
def test_gradients_are_those_of_finite_differences(loss, batch, rng, value_and_gradient):
    labels, logits = batch
    _, gradient = value_and_gradient(lambda x: loss(labels, x), logits)
    assert np.isfinite(gradient).all() and (gradient[labels == 255] == 0).all()
    direction = rng.normal(size=logits.shape).astype("float32")
    step = 2e-3
    up, down = (float(loss(labels, logits + sign * step * direction)) for sign in (1, -1))
    expected = (up - down) / (2 * step)
    found = float((gradient * direction).sum())
    assert found == pytest.approx(expected, rel=0.02, abs=2e-4)  # float32 differences


@each
def test_ignored_pixels_and_weights(loss, batch, value_and_gradient):
    labels, logits = batch
    spoilt = logits.copy()
    spoilt[labels == 255] = np.inf
    value, gradient = value_and_gradient(lambda x: loss(labels, x), spoilt)
    assert float(value) == float(loss(labels, logits))
    assert np.isfinite(gradient[labels != 255]).all()
    first = float(loss(labels[:1], logits[:1]))
    weights = np.float32([1, 0])
    assert float(loss(labels, logits, weights)) == pytest.approx(first, rel=1e-5)
    value, gradient = value_and_gradient(lambda x: loss(np.full_like(labels, 255), x), logits)
    assert float(value) == 0 and not gradient.any()
    labels[0, 5, 5] = CLASSES
    assert np.isnan(float(loss(labels, logits)))


@each
def test_configuration(loss, batch):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert float(again(*batch)) == float(loss(*batch))


@each
def test_shapes_are_checked(loss):
    with pytest.raises(ValueError, match=f"{type(loss).__name__} expects one label for each pixel"):
        loss(np.zeros((1, 4, 4), int), np.zeros((1, 2, 2, 3), "float32"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TverskyLoss(alpha=-1), "`alpha` and `beta` must"),
        (lambda: TverskyLoss(0, 0), "not both 0"),
        (lambda: DiceLoss(smooth=-1), "`smooth` must be at least 0"),
        (lambda: FocalLoss(gamma=0.5), "`gamma` must be 0 or at least 1"),
        (lambda: BoundaryLoss(width=4), "`width` must be an odd number"),
        (lambda: BoundaryLoss(tolerance=0), "`tolerance` must be an odd number"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
