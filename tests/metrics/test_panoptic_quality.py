"""Panoptic quality against three other ways of counting: COCO's, tf-models' and torchmetrics'."""

import numpy as np
import pytest

from keras_ctxseg.labels.panoptic import CROWD, class_ids, instance_numbers, panoptic_labels
from keras_ctxseg.metrics import PanopticCounts, count_segments, panoptic_scores

CLASSES, THINGS, VOID = 5, (2, 3, 4), 255


def coco(labels, predictions):
    """Kirillov et al.'s definition, segment by segment, with COCO's rules for void and crowds.

    A transcription of the definition (arXiv 1801.00868, sections 4.1 and 4.2, and COCO's page on
    panoptic evaluation) with sets of pixels, in float64; nothing shared with the code under test.
    """
    sums = {k: [0.0, 0, 0, 0] for k in range(CLASSES)}
    for label, prediction in zip(labels, predictions, strict=True):
        truths, guesses = (
            {value: set(np.flatnonzero(flat == value)) for value in np.unique(flat).tolist()}
            for flat in (label.ravel(), prediction.ravel())
        )
        void = set().union(*(px for value, px in truths.items() if value % 1024 == VOID))
        crowds = {v % 1024: px for v, px in truths.items() if v // 1024 == CROWD}
        truths = {v: px for v, px in truths.items() if v // 1024 != CROWD and v % 1024 != VOID}
        guesses = {v: px for v, px in guesses.items() if v % 1024 != VOID}
        matched = set()
        for value, pixels in truths.items():
            partner = None
            for other, guess in guesses.items():
                union = len(pixels | (guess - void))
                iou = np.float64(len(pixels & guess)) / union
                if other % 1024 == value % 1024 and iou > 0.5:
                    partner = other
                    sums[value % 1024][0] += iou
                    sums[value % 1024][1] += 1
            if partner is None:
                sums[value % 1024][2] += 1
            matched.add(partner)
        for other, guess in guesses.items():
            if other not in matched:
                excused = len(guess & void) + len(guess & crowds.get(other % 1024, set()))
                sums[other % 1024][3] += excused / len(guess) <= 0.5
    return sums


def scores_of(sums, chosen):
    rows = []
    for k in chosen:
        iou, tp, fn, fp = sums[k]
        if tp + fn + fp:
            all_three = tp + fn / 2 + fp / 2
            rows.append((iou / all_three, iou / tp if tp else 0.0, tp / all_three))
    return np.mean(rows, axis=0) if rows else [np.nan] * 3


def counted(labels, predictions):
    total = PanopticCounts.none(CLASSES)
    for label, prediction in zip(labels, predictions, strict=True):
        total = total + count_segments(label, prediction, CLASSES, VOID)
    return panoptic_scores(total, THINGS)


def random_map(rng, crowds=True):
    """Overlapping rectangles of things on two kinds of stuff, with void and a crowd a class."""
    size = rng.integers(12, 30, 2)
    label = np.where(np.arange(size[1]) < size[1] // 2, 0, 1) * np.ones(size, int)
    for number in range(1, rng.integers(2, 12)):
        top, left = (int(rng.integers(0, side - 4)) for side in size)
        height, width = rng.integers(3, 11, 2)
        kind = rng.choice(["thing", "thing", "thing", "void", "crowd"])
        value = VOID if kind == "void" else int(rng.choice(THINGS)) + 1024 * number
        if kind == "crowd" and crowds:
            value = value % 1024 + 1024 * CROWD
        label[top : top + height, left : left + width] = value
    return label


def perturbed(rng, label):
    """A prediction: shifted, renumbered, some classes changed, nothing of crowds."""
    guess = np.roll(label, rng.integers(-2, 3, 2), axis=(0, 1))
    for value in np.unique(guess):
        if rng.random() < 0.15 or value // 1024 == CROWD:
            guess[guess == value] = int(rng.integers(0, CLASSES)) % 2 + (
                0 if value < 1024 else 2 + 1024 * int(rng.integers(50, 90))
            )
    if rng.random() < 0.5:
        guess[: rng.integers(1, 6)] = VOID
    return guess


def hand_made():
    """Void, crowds, missing partners and ties, a case each."""
    empty = np.zeros((8, 8), int)
    cases = []

    def case(truth, guess):
        pair = []
        for regions in (truth, guess):
            drawn = empty.copy()
            for (rows, columns), value in regions:
                drawn[rows, columns] = value
            pair.append(drawn)
        cases.append(pair)

    top, half = (slice(0, 4), slice(None)), (slice(0, 2), slice(None))
    left = (slice(0, 4), slice(0, 4))
    case([(top, 2 + 1024)], [(half, 2 + 1024)])  # IoU of 0.5 exactly: no match
    case([(top, 2 + 1024)], [(half, 2 + 1024), ((2, slice(0, 1)), 2 + 1024)])  # just above
    case([(top, VOID)], [(top, 3 + 1024)])  # wholly on void
    case([(half, VOID)], [(top, 3 + 1024)])  # half on void: counts
    case([(top, 3 + 1024 * CROWD)], [(left, 3 + 1024), ((slice(0, 4), slice(4, 8)), 4 + 2048)])
    case([(half, VOID), ((slice(2, 4), slice(None)), 3 + 1024 * CROWD)], [(top, 3 + 5 * 1024)])
    case([(top, 2 + 1024)], [(top, 4 + 1024)])  # right place, wrong class
    case([(top, 2 + 1024)], [])  # missed
    case([], [(top, 2 + 1024)])  # invented
    case([(half, VOID), ((slice(2, 8), slice(None)), 4 + 1024)], [(top, 4 + 1024)])  # void in union
    case([], [(((slice(None), slice(None))), VOID)])  # nothing predicted
    return cases


def test_hand_made_cases():
    for truth, guess in hand_made():
        check([truth], [guess])
    truths, guesses = zip(*hand_made(), strict=True)
    check(truths, guesses)


def test_random_cases(rng):
    truths = [random_map(rng) for _ in range(60)]
    guesses = [perturbed(rng, label) for label in truths]
    scores = check(truths, guesses)
    assert 0.1 < scores.all.pq < 0.9  # neither trivially right nor wrong
    assert scores.counts.matched.min() > 0 and scores.counts.missed.min() > 0


def check(truths, guesses):
    sums, scores = coco(truths, guesses), counted(truths, guesses)
    counts = scores.counts
    for k in range(CLASSES):
        given = (counts.iou[k], counts.matched[k], counts.missed[k], counts.invented[k])
        np.testing.assert_allclose(given, sums[k], rtol=0, atol=1e-9, err_msg=f"class {k}")
    stuff = tuple(set(range(CLASSES)) - set(THINGS))
    for group, chosen in (("all", range(CLASSES)), ("things", THINGS), ("stuff", stuff)):
        quality = getattr(scores, group)
        expected = scores_of(sums, chosen)
        np.testing.assert_allclose(
            (quality.pq, quality.sq, quality.rq), expected, rtol=0, atol=1e-9, err_msg=group
        )
    for k in range(CLASSES):
        triple = (scores.per_class_pq[k], scores.per_class_sq[k], scores.per_class_rq[k])
        np.testing.assert_allclose(triple, scores_of(sums, [k]), rtol=0, atol=1e-9)
    return scores


def test_agrees_with_tf_models(rng):
    """Which has no crowds: random maps without, and the hand-made cases that have none."""
    peer = pytest.importorskip("official.vision.evaluation.panoptic_quality")
    truths = [random_map(rng, crowds=False) for _ in range(40)]
    guesses = [perturbed(rng, label) for label in truths]
    pairs = [pair for pair in hand_made() if not (instance_numbers(pair[0]) == CROWD).any()]
    truths += [truth for truth, _ in pairs]
    guesses += [guess for _, guess in pairs]
    # Its products of ids and offset are of 32 bits under NumPy 2, so both have to be small.
    metric = peer.PanopticQuality(
        num_categories=CLASSES + 1,
        ignored_label=CLASSES,
        max_instances_per_category=128,
        offset=1024,
    )

    def masks(labels):
        categories = class_ids(labels)
        is_void = categories == VOID
        return {
            "category_mask": np.where(is_void, CLASSES, categories),
            "instance_mask": np.where(is_void, 0, instance_numbers(labels)),
        }

    for truth, guess in zip(truths, guesses, strict=True):
        metric.compare_and_accumulate(masks(truth), masks(guess))
    result = metric.result(np.isin(np.arange(CLASSES + 1), THINGS))
    scores = counted(truths, guesses)
    for name, values in (("pq", scores.per_class_pq), ("sq", scores.per_class_sq),
                         ("rq", scores.per_class_rq)):  # fmt: skip
        np.testing.assert_allclose(
            np.nan_to_num(values), result[f"{name}_per_class"][:CLASSES], rtol=0, atol=1e-9
        )
    for group in ("all", "things", "stuff"):
        quality = getattr(scores, group)
        assert abs(quality.pq - result[f"{group.capitalize()}_pq"]) < 1e-9
        assert quality.classes == result[f"{group.capitalize()}_num_categories"]
    np.testing.assert_array_equal(scores.counts.matched, metric.tp_per_class[:CLASSES])


def test_agrees_with_torchmetrics(rng):
    """Which has no crowds, and void by colours that it does not know."""
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("torchmetrics.detection")
    metric = peer.PanopticQuality(
        things=set(THINGS), stuffs=set(range(CLASSES)) - set(THINGS),
        allow_unknown_preds_category=True,
    )  # fmt: skip
    truths = [random_map(rng, crowds=False) for _ in range(30)]
    guesses = [perturbed(rng, label) for label in truths]
    for truth, guess in zip(truths, guesses, strict=True):
        maps = [
            torch.tensor(np.stack([class_ids(each), instance_numbers(each)], -1))[None]
            for each in (guess, truth)
        ]
        metric.update(*maps)
    assert abs(float(metric.compute()) - counted(truths, guesses).all.pq) < 1e-6  # float32 there


def test_sums_of_images_are_counts(rng):
    """Any order of the images gives the same counts, and every segment is counted once."""
    truths = [random_map(rng) for _ in range(8)]
    for truth in truths:
        counts = count_segments(truth, truth, CLASSES, VOID)
        kinds = np.unique(truth[(class_ids(truth) != VOID) & (instance_numbers(truth) != CROWD)])
        assert counts.matched.sum() == len(kinds) and counts.iou.sum() == len(kinds)
        assert counts.missed.sum() == 0


def test_wrong_input():
    good = np.zeros((3, 3), int)
    with pytest.raises(ValueError, match=r"`prediction`: expected classes 0 ... 4 or 255.*: 7"):
        count_segments(good, panoptic_labels(good + 7, 2), CLASSES, VOID)
    with pytest.raises(ValueError, match=r"maps of one size.*\(3, 3\) and \(4, 3\)"):
        count_segments(good, np.zeros((4, 3), int), CLASSES, VOID)
