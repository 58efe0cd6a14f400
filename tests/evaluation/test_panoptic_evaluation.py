"""Segments from images: predicted, scored, written and read again."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.data.palettes import instance_contours
from keras_ctxseg.evaluation import Evaluator, predict
from keras_ctxseg.evaluation.panoptic_files import segment_files
from keras_ctxseg.inference import PanopticPredictor
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.labels.panoptic import CROWD, class_ids
from keras_ctxseg.metrics import PanopticCounts, count_segments
from keras_ctxseg.prediction import CocoPanopticWriter, read_coco_panoptic, segment_overlay

CLASSES, THINGS = 4, (2, 3)
PALETTE = np.array([(10, 20, 30), (200, 40, 60), (0, 150, 90), (250, 250, 0)], np.uint8)
NAMES = ("sky", "road", "car", "boat")


@pytest.fixture
def model():
    """Reads its answer off the image: the class from red, the centre's height from green, and no
    offsets, so that a pixel belongs to the nearest centre."""
    images = keras.Input((None, None, 3))
    red, green = images[..., :1], images[..., 1:2]
    logits = keras.ops.concatenate([-keras.ops.abs(red / 50 - k) for k in range(CLASSES)], -1)
    outputs = {
        "logits": keras.layers.Identity(dtype="float32")(logits),
        "center_heatmap": green / 255,
        "center_offsets": keras.ops.zeros_like(images[..., :2]),
    }
    return keras.Model(images, outputs)


def example(rng, name, size=(48, 64)):
    """Blocks of classes with a centre in the middle of some things, and the truth by them."""
    image = np.zeros((*size, 3), np.float32)
    label = np.zeros(size, np.int64)
    number = 0
    for top in range(0, size[0], 16):
        for left in range(0, size[1], 16):
            category = int(rng.integers(0, CLASSES))
            here = slice(top, top + 16), slice(left, left + 16)
            image[(*here, 0)] = 50 * category
            number += category in THINGS
            label[here] = category + 1024 * number * (category in THINGS)
            if category in THINGS:
                image[top + 8, left + 8, 1] = 120 + number
    label[:3] = 255
    label[-3:, :20] = 3 + 1024 * CROWD
    return {"image": image, "label": label, "name": name}


def test_predictor(rng, model):
    """Every thing that has a centre is one segment; sizes of the result may differ."""
    predictor = PanopticPredictor(model, THINGS)
    pair = [example(rng, name) for name in "ab"]
    images = np.stack([each["image"] for each in pair])
    result = predictor(images)
    for k, each in enumerate(pair):
        listed = result.segments[k]
        np.testing.assert_array_equal(result.labels[k], each["image"][..., 0] / 50)
        assert len(listed.categories) == len(listed.scores) == len(listed.areas) == listed.ids.max()
        np.testing.assert_array_equal(
            np.bincount(listed.ids.ravel())[1:], listed.areas[: listed.ids.max()]
        )
        classes = class_ids(result.panoptic[k])
        for value, category in enumerate(listed.categories, start=1):
            assert (classes[listed.ids == value] == category).all()
        scores = result.scores_by_label(k)
        assert sorted(scores.values()) == sorted(map(float, listed.scores))
    double = predictor(images, (96, 128))
    assert double.panoptic.shape == (2, 96, 128)
    half = double.segments[0]
    assert len(half.areas) == len(result.segments[0].areas)
    np.testing.assert_allclose(half.areas / 4, result.segments[0].areas, rtol=0.25)


def test_models_and_protocols_that_do_not_serve(model):
    plain = keras.Model(model.inputs, {"logits": model.output["logits"]})
    with pytest.raises(ValueError, match="`model` must put out 'center_heatmap'"):
        PanopticPredictor(plain, THINGS)
    with pytest.raises(ValueError, match=r"`thing_classes` must be ids in 0 ... 3.*\[4\]"):
        PanopticPredictor(model, (4,))
    with pytest.raises(ValueError, match="`protocol`: centres of things cannot be averaged"):
        Evaluator(model, CLASSES, thing_classes=THINGS, protocol=Protocol(flip=True))


def test_evaluator_scores_segments(rng, model):
    """Panoptic quality of the predictor's own maps, image by image; sizes may be mixed."""
    examples = [example(rng, "a"), example(rng, "b", (64, 48)), example(rng, "c")]
    evaluator = Evaluator(model, CLASSES, 255, NAMES, batch_size=2, thing_classes=THINGS)
    result = evaluator(examples)
    expected = PanopticCounts.none(CLASSES)
    for each in examples:
        found = evaluator.predict_segments(each["image"])
        expected = expected + count_segments(each["label"], found, CLASSES)
    counts = result.panoptic.counts
    for name in ("iou", "matched", "missed", "invented"):
        np.testing.assert_allclose(getattr(counts, name), getattr(expected, name), rtol=1e-12)
    assert 0.3 < result.panoptic.all.pq <= 1
    # The classes are scored as ever, on the same label maps without instances.
    semantic = Evaluator(model, CLASSES, 255, NAMES)(
        [{**each, "label": class_ids(each["label"])} for each in examples]
    )
    np.testing.assert_array_equal(result.confusion, semantic.confusion)
    assert semantic.panoptic is None and "panoptic" not in semantic.to_dict()

    written = json.loads(result.to_json())["panoptic"]
    assert written["all"]["pq"] == result.panoptic.all.pq
    assert [row["is_thing"] for row in written["classes"]] == [False, False, True, True]
    lines = result.table().splitlines()
    row = next(line for line in lines if line.startswith("things"))
    assert f"{100 * result.panoptic.things.pq:.2f}" in row


def random_labels(rng):
    label = rng.integers(0, 2, (6, 8)).repeat(5, 0).repeat(5, 1)
    for number in range(1, 7):
        top, left = rng.integers(0, 22), rng.integers(0, 32)
        label[top : top + 7, left : left + 9] = int(rng.choice(THINGS)) + 1024 * number
    label[:2] = 255
    label[-2:, :9] = 2 + 1024 * CROWD
    return label


def test_cocos_format(rng, tmp_path):
    """Written and read again; ids, areas and boxes by the specification."""
    labels = {name: random_labels(rng) for name in ("first", "second")}
    writer = CocoPanopticWriter(tmp_path / "truth", NAMES, PALETTE, THINGS)
    for number, (name, label) in enumerate(labels.items()):
        writer.add(name, label, image_file=f"{name}.png", image_id=number + 7)
    path = writer.close()
    assert path == tmp_path / "truth.json"
    content = json.loads(path.read_text())
    assert [category["isthing"] for category in content["categories"]] == [0, 0, 1, 1]
    assert [image["id"] for image in content["images"]] == [7, 8]
    for annotation, label in zip(content["annotations"], labels.values(), strict=True):
        with Image.open(tmp_path / "truth" / annotation["file_name"]) as file:
            red, green, blue = np.moveaxis(np.array(file).astype(int), -1, 0)
        ids = red + 256 * green + 65536 * blue
        np.testing.assert_array_equal(ids == 0, label == 255)
        for segment in annotation["segments_info"]:
            rows, columns = np.nonzero(ids == segment["id"])
            assert segment["area"] == rows.size
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert segment["bbox"] == box
            (value,) = np.unique(label[ids == segment["id"]])
            assert segment["category_id"] == value % 1024 + 1
            assert segment["iscrowd"] == (value // 1024 == CROWD)
    again = read_coco_panoptic(path)
    for key, label in zip((7, 8), labels.values(), strict=True):
        counts = count_segments(label, again[key], CLASSES)
        assert counts.missed.sum() == 0 and counts.iou.sum() == counts.matched.sum()
        np.testing.assert_array_equal(class_ids(again[key]), class_ids(label))
        np.testing.assert_array_equal(again[key] // 1024 == CROWD, label // 1024 == CROWD)


def test_files_that_do_not_fit(tmp_path, rng):
    with pytest.raises(ValueError, match="truth.json: expected COCO's panoptic JSON"):
        read_coco_panoptic(tmp_path / "truth.json")
    writer = CocoPanopticWriter(tmp_path / "truth", NAMES, PALETTE, THINGS)
    writer.add("first", random_labels(rng))
    path = writer.close()
    content = json.loads(path.read_text())
    del content["annotations"][0]["segments_info"][0]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"first.png: expected the ids .*Found: 1$"):
        read_coco_panoptic(path)


def test_panopticapi_agrees(rng, model, tmp_path):
    """COCO's own evaluation, on what an evaluation writes."""
    api = pytest.importorskip("panopticapi.evaluation")
    evaluator = Evaluator(model, CLASSES, 255, NAMES, thing_classes=THINGS)

    class Data:
        class_names, palette, thing_classes, ignore_label = NAMES, PALETTE, THINGS, 255

    files = segment_files(evaluator, Data, tmp_path)
    result = evaluator([example(rng, name) for name in "abc"])
    truth, predictions = (str(file.close()) for file in files)
    theirs = api.pq_compute(truth, predictions)
    for group in ("all", "things", "stuff"):
        ours = getattr(result.panoptic, group)
        for name in ("pq", "sq", "rq"):
            assert abs(theirs[group.capitalize()][name] - getattr(ours, name)) < 1e-9


def test_prediction_files(rng, model, tmp_path):
    """Labels, overlays with contours, and segments in COCO's format with scores."""
    each = example(rng, "a")
    image = np.round(each["image"]).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    output = tmp_path / "out"
    result = predict(model, tmp_path / "a.png", output, PALETTE, NAMES, thing_classes=THINGS)
    assert len(result.images) == 1 and not result.failures
    found = PanopticPredictor(model, THINGS)(image[None])
    maps = read_coco_panoptic(output / "panoptic.json")
    counts = count_segments(found.panoptic[0], maps["a"], CLASSES)
    assert counts.iou.sum() == counts.matched.sum() == found.segments[0].ids.max()
    info = json.loads((output / "panoptic.json").read_text())["annotations"][0]["segments_info"]
    written = sorted(segment["score"] for segment in info)
    np.testing.assert_allclose(written, sorted(found.segments[0].scores), atol=1e-6)
    with Image.open(output / "labels" / "a.png") as labels:
        np.testing.assert_array_equal(np.array(labels), found.labels[0])
    with Image.open(output / "overlays" / "a.jpg") as drawn:
        expected = segment_overlay(image, found.panoptic[0], PALETTE)
        assert np.abs(np.array(drawn).astype(int) - expected).mean() < 12  # JPEG


def test_contours_are_those_of_things(rng):
    """A pixel of a thing beside another segment, above, below, left or right."""
    label = random_labels(rng)
    expected = np.zeros(label.shape, bool)
    for row, column in np.ndindex(label.shape):
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            other = row + down, column + right
            inside = 0 <= other[0] < label.shape[0] and 0 <= other[1] < label.shape[1]
            if inside and label[other] != label[row, column] and label[row, column] >= 1024:
                expected[row, column] = True
    np.testing.assert_array_equal(instance_contours(label), expected)
    image = rng.uniform(0, 255, (*label.shape, 3))
    drawn = segment_overlay(image, label, PALETTE, opacity=1.0)
    assert (drawn[expected] == 255).all()
    inner = ~expected & (class_ids(label) != 255)
    np.testing.assert_array_equal(drawn[inner], PALETTE[class_ids(label[inner])])
