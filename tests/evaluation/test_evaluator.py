"""The evaluator against a plain NumPy loop over images and pixels."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import confusion_matrix

from keras_ctxseg.evaluation import Evaluator, Predictor, Protocol
from keras_ctxseg.evaluation.image_counts import count_image
from keras_ctxseg.metrics import resample_images, scores_from_confusion
from tests.fixtures.numpy_resize import resize

CLASSES = 4


def predict(model, example):
    logits = keras.ops.convert_to_numpy(model(example["image"][None])["logits"])[0]
    return resize(logits, *example["label"].shape).argmax(-1)


def loop(model, examples):
    """One confusion matrix per image."""
    matrices = []
    for example in examples:
        valid = example["label"] != 255
        matrices.append(
            confusion_matrix(
                example["label"][valid],
                predict(model, example)[valid],
                labels=range(CLASSES),
            )
        )
    return matrices


def as_dataset(examples):
    spec = {
        "image": tf.TensorSpec((None, None, 3), tf.float32),
        "label": tf.TensorSpec((None, None), tf.int32),
        "name": tf.TensorSpec((), tf.string),
    }
    return tf.data.Dataset.from_generator(lambda: iter(examples), output_signature=spec)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("kind", [list, as_dataset])
def test_equals_a_loop_over_images(model, examples, batch_size, kind):
    result = Evaluator(model, CLASSES, batch_size=batch_size)(kind(examples))
    matrices = loop(model, examples)
    np.testing.assert_array_equal(result.confusion, np.sum(matrices, axis=0))
    expected = scores_from_confusion(np.sum(matrices, axis=0))
    assert result.scores.mean_iou == pytest.approx(expected.mean_iou, abs=1e-12)
    assert [image.name for image in result.images] == [example["name"] for example in examples]
    for image, matrix, example in zip(result.images, matrices, examples, strict=True):
        assert image.mean_iou == pytest.approx(scores_from_confusion(matrix).mean_iou, abs=1e-12)
        assert image.valid_pixels == matrix.sum()
        assert (image.height, image.width) == example["label"].shape


def test_predicts_at_any_size(model, examples):
    evaluator = Evaluator(model, CLASSES)
    for example in examples[:3]:
        ids = evaluator.predict(example["image"], example["label"].shape)
        np.testing.assert_array_equal(ids, predict(model, example))
    assert evaluator.predict(examples[0]["image"]).shape == (12, 16)


def test_one_graph_serves_all_sizes_and_follows_the_weights(model, examples):
    evaluator = Evaluator(model, CLASSES)
    before = evaluator(examples)
    for variable in model.trainable_variables:
        variable.assign(-variable)
    after = evaluator(examples)
    np.testing.assert_array_equal(after.confusion, np.sum(loop(model, examples), axis=0))
    assert (after.confusion != before.confusion).any()
    assert evaluator.predictor.passes.plain.experimental_get_tracing_count() == 1


def test_images_of_nothing_but_ignored_pixels(model, examples):
    examples[1]["label"][:] = 255
    result = Evaluator(model, CLASSES)(examples)
    assert result.images[1].valid_pixels == 0
    assert np.isnan(result.images[1].mean_iou)
    assert "image_1" not in [image.name for image in result.ranked()]
    assert json.loads(result.to_json())["images"][1]["mean_iou"] is None


def test_a_model_without_dict_and_with_a_fixed_size(examples):
    images = keras.Input((12, 16, 3))
    model = keras.Model(images, keras.layers.Conv2D(CLASSES, 1)(images))
    result = Evaluator(model, CLASSES)(examples[:2])
    assert result.confusion.sum() == sum((e["label"] != 255).sum() for e in examples[:2])
    with pytest.raises(ValueError, match="'image_2'.*12x16.*9x20"):
        Evaluator(model, CLASSES)(examples)


@pytest.mark.parametrize("wrong", [CLASSES, 200, -1])
def test_label_ids_outside_the_classes_name_the_image(model, examples, wrong):
    examples[4]["label"][3, 5] = wrong
    with pytest.raises(ValueError, match=rf"'image_4'.*0 \.\.\. 3.*255.*\[{wrong}\]"):
        Evaluator(model, CLASSES)(examples)


def test_other_ignore_label(model, examples):
    renamed = [{**e, "label": np.where(e["label"] == 255, 11, e["label"])} for e in examples]
    expected = Evaluator(model, CLASSES)(examples).confusion
    result = Evaluator(model, CLASSES, ignore_label=11)(renamed)
    np.testing.assert_array_equal(result.confusion, expected)


def test_logits_that_are_not_finite_are_refused(model, examples):
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(ValueError, match="'image_0'.*not finite"):
        Evaluator(model, CLASSES, batch_size=1)(examples[:1])


def test_bad_input_is_named(model, examples):
    with pytest.raises(ValueError, match="logits have 4 classes. Received: num_classes=5"):
        Evaluator(model, 5)
    other = keras.Model(model.input, {"logit": model.output["logits"]})
    with pytest.raises(ValueError, match="'logits'. Received: a model with the outputs 'logit'"):
        Evaluator(other, CLASSES)
    with pytest.raises(ValueError, match="name 4 classes. Received: 2 names"):
        Evaluator(model, CLASSES, class_names=["a", "b"])
    with pytest.raises(ValueError, match="no examples"):
        Evaluator(model, CLASSES)([])
    with pytest.raises(ValueError, match=r"'x'.*RGB.*\(12, 16\)"):
        Evaluator(model, CLASSES)([{**examples[0], "image": np.zeros((12, 16)), "name": "x"}])
    with pytest.raises(ValueError, match=r"'image_0'.*integers.*float"):
        Evaluator(model, CLASSES)([{**examples[0], "label": np.zeros((12, 16))}])
    with pytest.raises(ValueError, match="batch_size.*0"):
        Evaluator(model, CLASSES, batch_size=0)


def test_protocol_and_batches_change_no_count(model, examples):
    """The evaluator scores what the predictor predicts, whatever the batches."""
    protocol = Protocol(scales=(0.75, 1.5), flip=True, window=(9, 11), average="logits")
    results = [
        Evaluator(model, CLASSES, batch_size=size, protocol=protocol)(examples) for size in (1, 8)
    ]
    predictor = Predictor(model, protocol)
    for k, example in enumerate(examples):
        predicted = predictor(example["image"][None], example["label"].shape)
        expected = count_image(
            example["label"], predicted.labels[0], predicted.confidence[0], CLASSES, 255
        )
        for result in results:
            np.testing.assert_array_equal(
                result.counts[k].confusion.cells, expected.confusion.cells
            )
            np.testing.assert_array_equal(
                result.counts[k].confusion.counts, expected.confusion.counts
            )
            np.testing.assert_array_equal(
                result.counts[k].contour.boundary, expected.contour.boundary
            )
            np.testing.assert_allclose(
                result.counts[k].calibration.confidence, expected.calibration.confidence, rtol=1e-5
            )
    assert results[0].protocol == protocol
    assert results[0].boundary.mean_iou == results[1].boundary.mean_iou
    assert results[0].intervals.scores["mean_iou"] == results[1].intervals.scores["mean_iou"]


@pytest.mark.parametrize("block", [1, 2])
def test_scores_json_is_enough_to_compute_everything_again(model, examples, block):
    """Every figure from the images' counts in the file, without the package's own classes."""
    names = ["background", "road", "boat", "car"]
    result = Evaluator(model, CLASSES, class_names=names, block=block)(examples)
    assert ("2 neighbours drawn at a time" in result.table()) == (block == 2)
    written = json.loads(result.to_json())
    confusions = np.zeros((len(examples), CLASSES * CLASSES), int)
    boundary = np.zeros((3, CLASSES), int)
    calibration = {"pixels": 0, "confidence": 0, "right": 0}
    for k, image in enumerate(written["images"]):
        confusions[k, image["confusion"]["cells"]] = image["confusion"]["counts"]
        part = image["boundary"]
        for row, name in enumerate(("intersection", "label", "prediction")):
            boundary[row, part["classes"]] += part[name]
        for name in calibration:
            calibration[name] = calibration[name] + np.array(image["calibration"][name])
    confusions = confusions.reshape(-1, CLASSES, CLASSES)
    assert confusions.sum(axis=0).tolist() == written["confusion"]["matrix"]
    iou = boundary[0] / (boundary[1] + boundary[2] - boundary[0])
    assert written["boundary_iou"] == pytest.approx(iou.mean(), abs=1e-12)
    assert [entry["boundary_iou"] for entry in written["classes"]] == pytest.approx(iou)
    gaps = np.abs(calibration["confidence"] - calibration["right"]).sum()
    assert written["calibration_error"] == pytest.approx(gaps / written["valid_pixels"], abs=1e-6)
    own = [scores_from_confusion(matrix).mean_iou for matrix in confusions]
    assert written["mean_image_iou"] == pytest.approx(np.mean(own), abs=1e-12)

    assert written["intervals"]["block"] == block
    draws = resample_images(len(examples), written["intervals"]["resamples"], block=block)
    drawn = [scores_from_confusion(np.tensordot(draw, confusions, 1), 0) for draw in draws]
    ends = written["intervals"]["scores"]
    for name in ("mean_iou", "pixel_accuracy", "ade20k_score"):
        values = [getattr(scores, name) for scores in drawn]
        assert ends[name] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-12)
    values = [scores.mean_iou_policies["without_background"] for scores in drawn]
    found = ends["mean_iou_policies.without_background"]
    assert found == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-12)
    values = draws @ np.array(own) / len(own)
    assert ends["mean_image_iou"] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-12)
    values = [scores.per_class_iou[1] for scores in drawn]
    found = written["classes"][1]["iou_interval"]
    assert found == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-12)
    for low, high in ends.values():
        assert low <= high
    assert len(written["boundary"]["trimap_mean_iou"]) == len(written["boundary"]["distances"])


def test_blocks_that_cannot_be_drawn_are_refused_before_the_work(model):
    unread = [{}] * 5
    with pytest.raises(ValueError, match="`block` must be at most 2, half of the 5 images"):
        Evaluator(model, CLASSES, block=3)(unread)


def test_without_details_or_images_enough_nothing_is_made_up(model, examples):
    result = Evaluator(model, CLASSES, details=False)(examples[:1])
    written = json.loads(result.to_json())
    for name in ("boundary", "boundary_iou", "calibration", "calibration_error", "intervals"):
        assert written[name] is None
    assert "interval" not in result.table()
    assert written["classes"][0]["iou_interval"] is None
    alone = json.loads(Evaluator(model, CLASSES)(examples[:1]).to_json())
    assert alone["intervals"] is None
    assert alone["boundary"]["trimap_intervals"] == [[None, None]] * 6
    assert alone["boundary"]["trimap_mean_iou"][-1] == pytest.approx(alone["mean_iou"], abs=1e-12)


def test_json_and_table_hold_the_figures(model, examples, tmp_path):
    for example in examples:  # class 2 becomes absent from the labels
        example["label"][example["label"] == 2] = 255
    model.get_layer("logits").bias.assign([0.0, 0.0, -1e9, 0.0])  # and from the predictions
    names = ["sky", "road", "boat", "car"]
    result = Evaluator(model, CLASSES, class_names=names)(examples)
    written = json.loads(result.to_json(tmp_path / "result.json"))
    assert written == json.loads((tmp_path / "result.json").read_text())
    assert written["mean_iou"] == result.scores.mean_iou
    assert written["confusion"]["matrix"] == result.confusion.tolist()
    assert [entry["name"] for entry in written["classes"]] == names
    assert written["classes"][2]["iou"] is None
    assert not written["classes"][2]["present"]
    assert written["absent_classes"] == ["boat"]
    assert "left out" in written["absent_classes_policy"]
    assert len(written["images"]) == len(examples)
    table = result.table()
    assert f"{100 * result.scores.mean_iou:.2f}" in table
    assert "Left out of the mean IoU" in table
    assert table.splitlines()[1].split()[:2] == [
        "sky",
        f"{100 * result.scores.per_class_iou[0]:.2f}",
    ]
