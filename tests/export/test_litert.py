import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_ctxseg.export import ExportError, check_parity, export_litert, litert_operations
from keras_ctxseg.export.graph.quiet import captured_noise
from tests.export.exporting import random_image, tiny_model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("litert") / "deep" / "tiny.tflite"
    return export_litert(model, path, (40, 56))


def test_it_computes_the_models_logits(model, exported):
    image = np.float32(random_image(40, 56)[np.newaxis])
    interpreter = Interpreter(str(exported.path))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["images"], "outputs": ["logits"]}
    }
    runner = interpreter.get_signature_runner("serving_default")
    assert runner.get_input_details()["images"]["shape"].tolist() == [1, 40, 56, 3]
    logits = runner(images=image)["logits"]
    expected = model(image, training=False)["logits"]
    # Folding BatchNormalization reorders float32 sums.
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_dilation_stays_one_operation_and_normalisation_is_folded(exported):
    # MUL and ADD are the input's rescaling.
    assert litert_operations(exported.path) == ["ADD", "CONV_2D", "MUL"]


def test_the_report_resizes_images_to_the_input(model, exported):
    report = check_parity(model, exported.path, [random_image(40, 56), random_image(90, 33)])
    assert report.passed
    assert report.pixels == 2 * 40 * 56
    assert report.max_softmax_difference < 1e-4


def test_parity_finds_a_changed_weight(exported):
    changed = tiny_model()
    kernel = changed.get_layer("classifier").kernel
    kernel.assign(kernel * 1.05)
    assert not check_parity(changed, exported.path, [random_image(40, 56)]).passed


def test_it_replaces_a_file_only_when_it_passes(model, tmp_path, monkeypatch):
    path = tmp_path / "tiny.tflite"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("keras_ctxseg.export.litert.export.converted", lambda *_: tiny_bytes())
        with pytest.raises(ExportError, match="export refused: fp32 DISAGREES"):
            export_litert(model, path, (33, 33))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.tflite"]
    export_litert(model, path, (33, 33))
    assert litert_operations(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["tiny.card.md", "tiny.tflite"]


def tiny_bytes():
    """Another model's file."""
    other = tiny_model(seed=4)
    function = tf.function(lambda images: {"logits": other(images)["logits"]})
    concrete = function.get_concrete_function(tf.TensorSpec((1, 33, 33, 3), name="images"))
    with captured_noise():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], other)
        return converter.convert()


def test_flex_operations_are_refused_by_name(tmp_path):
    images = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(4, 1)(images)
    # Has a TensorFlow kernel and no LiteRT one.
    logits = keras.layers.Lambda(tf.math.bessel_i0e, output_shape=lambda shape: shape)(logits)
    with pytest.raises(ExportError, match="not LiteRT builtins.*BesselI0e"):
        export_litert(keras.Model(images, {"logits": logits}), tmp_path / "x.tflite", (40, 40))
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_do_not_fit(model, tmp_path):
    with pytest.raises(ValueError, match="input_size: expected height and width of at least 33"):
        export_litert(model, tmp_path / "x.tflite", (32, 64))
    with pytest.raises(ValueError, match=r"expected \(48, 48\), which the model was built for"):
        export_litert(tiny_model(48), tmp_path / "x.tflite", (40, 64))
    with pytest.raises(ExportError, match="cannot be loaded as a LiteRT file"):
        check_parity(model, tmp_path / "missing.tflite", [random_image(40, 40)])
    (tmp_path / "text.tflite").write_text("not a flatbuffer at all, but long enough to read")
    with pytest.raises(ExportError, match="cannot be loaded as a LiteRT file"):
        check_parity(model, tmp_path / "text.tflite", [random_image(40, 40)])


def test_the_place_is_taken_by_a_directory(model, tmp_path):
    (tmp_path / "x.tflite").mkdir()
    with pytest.raises(ExportError, match="cannot write .*x.tflite"):
        export_litert(model, tmp_path / "x.tflite", (40, 40))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tflite"]
