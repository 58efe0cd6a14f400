"""Centres, grouping and merging against plain loops, and at their limits."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from keras_ctxseg.data import load
from keras_ctxseg.labels.panoptic import class_ids, instance_numbers
from keras_ctxseg.losses.center_targets import find_instances, heatmap_targets, offset_targets
from keras_ctxseg.metrics import PanopticCounts, count_segments, panoptic_scores
from keras_ctxseg.panoptic import (
    Centers,
    GroupingOptions,
    find_centers,
    merge_segments,
    nearest_centers,
)

THINGS, CLASSES = (2, 3), 4


def smooth_heat(rng, size):
    return ndimage.gaussian_filter(rng.uniform(0, 1, size), 2).astype("float32") * 1.5


@pytest.mark.parametrize("window", [1, 3, 7, 11])
def test_centers_are_the_highest_peaks(rng, window):
    heat = smooth_heat(rng, (43, 61))
    options = GroupingOptions(threshold=0.7, window=window, max_instances=9)
    centers = find_centers(heat, options)
    largest = ndimage.maximum_filter(heat, window, mode="constant", cval=-np.inf)
    peaks = np.argwhere((heat == largest) & (heat > 0.7))
    peaks = peaks[np.argsort(-heat[tuple(peaks.T)])][:9]  # no two are equal
    count = int(centers.count)
    assert count == len(peaks) > 2
    np.testing.assert_array_equal(centers.places[:count], peaks)
    np.testing.assert_array_equal(centers.heights[:count], heat[tuple(peaks.T)])


def test_nearest_centers(rng):
    """As by a loop over centres in float64, but for pixels as good as on the border."""
    size, count = (200, 300), 23  # two chunks of pixels
    places = np.stack([rng.integers(0, side, 40) for side in size], -1).astype("int32")
    offsets = rng.normal(0, 60, (*size, 2)).astype("float32")
    found = np.array(nearest_centers(offsets, Centers(places, np.ones(40), count)))
    targets = offsets + np.moveaxis(np.indices(size), 0, -1)
    distances = np.linalg.norm(targets[:, :, None] - places[:count].astype(float), axis=-1)
    assert found.min() >= 1 and found.max() <= count
    chosen = np.take_along_axis(distances, found[..., None] - 1, -1)[..., 0]
    assert (chosen - distances.min(-1)).max() < 0.02
    assert (found - 1 == distances.argmin(-1)).mean() > 0.999


def merged_by_loops(classes, confidence, heat, offsets, options, ignore_label):
    """Panoptic-DeepLab's steps, pixel by pixel and thing by thing."""
    largest = ndimage.maximum_filter(heat, options.window, mode="constant", cval=-np.inf)
    peaks = np.argwhere((heat == largest) & (heat > options.threshold))
    peaks = peaks[np.argsort(-heat[tuple(peaks.T)])][: options.max_instances]
    ids, labels = np.zeros(classes.shape, int), np.full(classes.shape, ignore_label)
    table = []

    def add(pixels, category, instance, factor):
        ids[pixels] = len(table) + 1
        labels[pixels] = category + 1024 * instance
        table.append((category, confidence[pixels].mean() * factor, pixels.sum()))

    thing_pixels = np.isin(classes, THINGS)
    if len(peaks):
        targets = offsets + np.moveaxis(np.indices(classes.shape), 0, -1)
        nearest = np.linalg.norm(targets[:, :, None] - peaks, axis=-1).argmin(-1)
        for k, peak in enumerate(peaks):
            pixels = thing_pixels & (nearest == k)
            if pixels.any():
                votes = np.bincount(classes[pixels], minlength=CLASSES)
                add(pixels, int(votes.argmax()), len(table) + 1, min(heat[tuple(peak)], 1.0))
    for k in range(CLASSES):
        pixels = classes == k
        if k not in THINGS and pixels.sum() >= max(options.min_stuff_area, 1):
            add(pixels, k, 0, 1.0)
    return ids, labels, table


def check(classes, confidence, heat, offsets, **changes):
    options = GroupingOptions(**changes)
    arguments = (classes, confidence, heat, offsets)
    in_graph = tf.function(
        lambda *maps: merge_segments(*maps, CLASSES, THINGS, 255, options), autograph=False
    )
    for function in (in_graph, in_graph.python_function):
        found = function(*(tf.constant(part) for part in arguments))
        ids, labels, table = merged_by_loops(*arguments, options, 255)
        np.testing.assert_array_equal(found.ids, ids)
        np.testing.assert_array_equal(found.labels, labels)
        count = int(found.count)
        assert count == len(table)
        for k, (category, score, area) in enumerate(table):
            assert int(found.categories[k]) == category
            np.testing.assert_allclose(float(found.scores[k]), score, rtol=1e-5)
            assert int(found.areas[k]) == area
        assert (np.array(found.categories[count:]) == -1).all()
        assert not np.any(found.areas[count:]) and not np.any(found.scores[count:])
    return table


def random_maps(rng, size=(47, 70)):
    classes = rng.integers(0, CLASSES, (6, 9)).repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
    confidence = rng.uniform(0.2, 1, size).astype("float32")
    offsets = rng.normal(0, 3, (*size, 2)).astype("float32")
    return classes.astype("int32"), confidence, smooth_heat(rng, size), offsets


@pytest.mark.parametrize("min_stuff_area", [0, 700])
def test_merging(rng, min_stuff_area):
    table = check(*random_maps(rng), threshold=0.75, min_stuff_area=min_stuff_area)
    assert {category for category, *_ in table} & set(THINGS)
    if min_stuff_area:
        assert min(area for category, _, area in table if category not in THINGS) >= 700


def test_no_centre_makes_things_void(rng):
    classes, confidence, heat, offsets = random_maps(rng)
    table = check(classes, confidence, heat * 0, offsets)
    assert {category for category, *_ in table} == {0, 1}


def test_no_things_and_nothing_but_things(rng):
    classes, confidence, heat, offsets = random_maps(rng)
    assert all(c == 0 for c, *_ in check(classes * 0, confidence, heat, offsets))
    assert all(c == 2 for c, *_ in check(classes * 0 + 2, confidence, heat, offsets))


def test_things_of_one_pixel():
    """A grid of single pixels, each its own centre."""
    size = (40, 56)
    classes, heat = np.zeros(size, "int32"), np.zeros(size, "float32")
    rows, columns = np.mgrid[3:40:8, 3:56:8]
    classes[rows, columns] = 2 + (rows + columns) // 8 % 2
    heat[rows, columns] = np.linspace(0.2, 0.9, rows.size).reshape(rows.shape)
    table = check(classes, np.ones(size, "float32"), heat, np.zeros((*size, 2), "float32"))
    assert [area for *_, area in table] == [1] * rows.size + [40 * 56 - rows.size]


def test_more_peaks_than_centres(rng):
    """Of 400 peaks the 200 highest are centres, and every pixel of a thing finds one of them."""
    size = (80, 80)
    heat = np.zeros(size, "float32")
    heat[2::4, 2::4] = rng.permutation(np.linspace(0.2, 1.4, 400)).reshape(20, 20)
    classes = np.full(size, 3, "int32")
    table = check(
        classes, np.ones(size, "float32"), heat, np.zeros((*size, 2), "float32"), window=3
    )
    assert len(table) == 200 and sum(area for *_, area in table) == 6400
    assert table[0][1] == 1  # heights above 1 are no probabilities
    flat = np.ones(size, "float32")  # and a plain of 6400 equal values
    found = merge_segments(classes, flat, flat, np.zeros((*size, 2), "float32"), CLASSES, THINGS)
    assert int(found.count) == 1


def test_equal_peaks_side_by_side_are_one():
    """As upsampling makes four of one; farther apart than the window they are two."""
    heat = np.zeros((30, 40), "float32")
    heat[4:6, 7:9] = 0.5
    heat[20, 10] = heat[20, 14] = 0.7
    for window, expected in ((7, [(20, 10), (20, 14), (4, 7)]), (9, [(20, 10), (4, 7)])):
        centers = find_centers(heat, GroupingOptions(window=window))
        assert list(map(tuple, np.array(centers.places[: int(centers.count)]))) == expected
        np.testing.assert_array_equal(centers.heights[: len(expected)], [heat[p] for p in expected])


def test_targets_of_the_truth_give_the_truth_back():
    """context_scenes, validation: targets, then grouping, then panoptic quality above 0.99."""
    dataset = load("context_scenes", panoptic=True)
    counts = PanopticCounts.none(dataset.num_classes)
    group = tf.function(
        lambda *maps: merge_segments(*maps, dataset.num_classes, dataset.thing_classes).labels,
        autograph=False,
    )
    for example in dataset.examples("val").as_numpy_iterator():
        label = example["label"]
        instances = find_instances(tf.constant(label[None]), 255)
        classes = np.where(class_ids(label) == 255, 0, class_ids(label)).astype("int32")
        predicted = group(
            classes,
            np.ones(label.shape, "float32"),
            heatmap_targets(instances, 8.0)[0],
            offset_targets(instances)[0],
        ).numpy()
        counts = counts + count_segments(label, predicted, dataset.num_classes)
        assert len(np.unique(predicted[instance_numbers(predicted) > 0])) == len(
            np.unique(label[instance_numbers(label) > 0])
        )
    scores = panoptic_scores(counts, dataset.thing_classes)
    assert scores.all.pq > 0.99 and scores.things.pq > 0.99
    assert scores.all.classes == dataset.num_classes


def test_wrong_options():
    with pytest.raises(ValueError, match=r"`panoptic.window`: expected an odd .*Received: 4"):
        GroupingOptions(window=4)
    with pytest.raises(ValueError, match="`panoptic.max_instances`: expected 1 to 4095"):
        GroupingOptions(max_instances=0)
