import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.export import ExportError, ParityReport, check_parity, export_saved_model
from keras_ctxseg.export.parity import reload
from keras_ctxseg.export.saved_model import export as saved_model_file
from tests.export.exporting import CLASS_NAMES, random_image, tiny_model

PALETTE = np.arange(15).reshape(5, 3)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory, _child_to_reload):
    """Compared in a process of its own, as everywhere but in tests."""
    directory = tmp_path_factory.mktemp("exports") / "tiny"
    images = [random_image(45, 60), random_image(70, 34, seed=1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reload, "why_child_fails", _child_to_reload)
        return export_saved_model(
            model, directory, CLASS_NAMES, PALETTE, ignore_label=9, check_images=images
        )


def test_it_lies_under_version_1_with_its_labels_beside_it(exported):
    assert exported.path.name == "1"
    assert [path.name for path in exported.path.parent.iterdir()] == ["1"]
    labels = json.loads((exported.path / "assets.extra" / "labels.json").read_text())
    assert labels == {
        "model": "tiny",
        "class_names": CLASS_NAMES,
        "palette": PALETTE.tolist(),
        "ignore_label": 9,
        "image_scale": 1.0,
    }


def test_the_report_is_of_both_images(exported):
    assert exported.parity.passed
    assert exported.parity.images == 2
    assert exported.parity.pixels == 45 * 60 + 70 * 34
    assert exported.parity.max_softmax_difference < 1e-5
    assert "agrees with the Keras model on 2 images" in str(exported.parity)


def test_signatures_as_documented(exported):
    loaded = tf.saved_model.load(str(exported.path))
    signatures = loaded.signatures
    assert set(signatures) == {"serving_default", "float_images", "logits", "labels"}
    # Signatures only: the methods behind them would be stored and loaded once more.
    assert not {"segment_files", "segment_floats", "forward"} & set(dir(loaded))
    files = signatures["serving_default"]
    assert files.structured_input_signature[1] == {
        "images": tf.TensorSpec((None,), tf.string, "images")
    }
    assert {name: spec.dtype for name, spec in files.structured_outputs.items()} == {
        "labels": tf.int32,
        "scores": tf.float32,
        "sizes": tf.int32,
        "errors": tf.string,
        "class_names": tf.string,
    }
    floats = signatures["float_images"]
    assert floats.structured_input_signature[1] == {
        "images": tf.TensorSpec((None, None, None, 3), tf.float32, "images")
    }
    assert floats.structured_outputs["logits"].shape.as_list() == [None, None, None, 5]
    assert floats.structured_outputs["labels"].dtype == tf.int32


def test_errors_survive_the_export(exported):
    signatures = tf.saved_model.load(str(exported.path)).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 33 pixels a side"):
        signatures["float_images"](images=tf.zeros((1, 32, 40, 3)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="an empty batch"):
        signatures["serving_default"](images=tf.constant([], tf.string, (0,)))


def test_parity_finds_a_changed_weight(exported):
    changed = tiny_model()
    kernel = changed.get_layer("classifier").kernel
    kernel.assign(kernel * 1.05)
    report = check_parity(changed, exported.path, [random_image(40, 40)])
    assert not report.passed
    assert report.max_softmax_difference > 1e-3
    assert "DISAGREES" in str(report)


def test_parity_scales_like_the_export(model, tmp_path):
    result = export_saved_model(model, tmp_path / "half", CLASS_NAMES, image_scale=0.5)
    assert result.parity.images == 3
    assert result.parity.max_softmax_difference < 1e-5


def test_next_version_and_taken_version(model, tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model_file, "check_parity", passed_parity)
    (tmp_path / "7").mkdir()
    assert export_saved_model(model, tmp_path, CLASS_NAMES).path == tmp_path / "8"
    with pytest.raises(ExportError, match="8 exists already and is never overwritten.*is 9"):
        export_saved_model(model, tmp_path, CLASS_NAMES, version=8)
    with pytest.raises(ExportError, match="version: expected a whole number"):
        export_saved_model(model, tmp_path, CLASS_NAMES, version=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["7", "8"]


def passed_parity(model, path, images):
    return ParityReport(str(path), len(images), 1, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("difference", [np.nan, 2e-3])
def test_a_report_beyond_its_limit_does_not_pass(difference):
    assert ParityReport("", 1, 1, 9e-4, 0.0, 0.99991).passed
    assert ParityReport("", 1, 1, 9e-4, 0.0, 0.9991, ties=0.0009).passed
    assert not ParityReport("", 1, 1, difference, 0.0, 1.0).passed
    assert not ParityReport("", 1, 1, 0.0, 0.0, 0.9998).passed
    assert not ParityReport("", 1, 1, 0.0, 0.0, 0.998, ties=0.001).passed


def test_a_refused_export_leaves_nothing(model, tmp_path, monkeypatch):
    class Broken(saved_model_file.ServingModule):
        def coarse_logits(self, images):
            logits, sizes = super().coarse_logits(images)
            return logits + tf.range(5.0), sizes

    monkeypatch.setattr(saved_model_file, "ServingModule", Broken)
    with pytest.raises(ExportError, match="export refused: DISAGREES"):
        export_saved_model(model, tmp_path / "new" / "tiny", CLASS_NAMES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("reloaded_by_child")
def test_a_hidden_python_dependency_is_found(model, tmp_path, monkeypatch):
    class Hidden(saved_model_file.ServingModule):
        def coarse_logits(self, images):
            logits, sizes = super().coarse_logits(images)
            same = tf.numpy_function(lambda values: values, [logits], tf.float32)
            return tf.ensure_shape(same, logits.shape), sizes

    monkeypatch.setattr(saved_model_file, "ServingModule", Hidden)
    with pytest.raises(ExportError, match="does not run when loaded afresh"):
        export_saved_model(model, tmp_path / "tiny", CLASS_NAMES)
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_do_not_fit(model, tmp_path):
    def refused(message, *arguments, **options):
        with pytest.raises(ValueError, match=message):
            export_saved_model(*arguments, **options)

    refused("class_names: expected 5 names.*Received 4", model, tmp_path, CLASS_NAMES[:4])
    refused(r"palette: expected.*\(5, 3\)", model, tmp_path, CLASS_NAMES, np.zeros((4, 3)))
    refused("ignore_label: expected.*Received 4", model, tmp_path, CLASS_NAMES, None, 4)
    refused("image_scale: expected", model, tmp_path, CLASS_NAMES, image_scale=0.0)
    refused("input_shape=.None, None, 3", tiny_model(48), tmp_path, CLASS_NAMES)
    refused("dict with 'logits'", keras.Sequential([keras.Input((3,))]), tmp_path, CLASS_NAMES)
    refused(
        r"images\[0\]: expected a uint8 array.*float32",
        *(model, tmp_path, CLASS_NAMES),
        check_images=[np.zeros((40, 40, 3), "float32")],
    )
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="cannot write to .*file"):
        export_saved_model(model, tmp_path / "file" / "tiny", CLASS_NAMES)
    assert (tmp_path / "file").read_text() == "in the way"


def test_parity_of_something_that_is_no_export(model, tmp_path):
    with pytest.raises(ExportError, match="expected a SavedModel exported by keras_ctxseg"):
        check_parity(model, tmp_path, [random_image(40, 40)])
