"""LiteRT and ONNX files that other programs wrote, and damaged ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ctxseg.cli import main
from keras_ctxseg.export import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.litert.graph import LitertGraph
from keras_ctxseg.export.loading.load import load
from keras_ctxseg.export.loading.tensors import ChosenOutput, ImageInput, TensorInfo
from keras_ctxseg.export.parity.check import synthetic_images

SIZE = (24, 36)
UNSAID = "ignore:.*does not say how images are normalised"


@pytest.fixture(scope="module")
def photos():
    return synthetic_images([SIZE] * 8, seed=7)


def network(height=None, width=None, normalised=True):
    """A classifier of pixels; its images are in 0..255, or in -1..1."""
    keras.utils.set_random_seed(1)
    images = keras.Input((height, width, 3), name="picture")
    maps = keras.layers.Rescaling(1 / 127.5, -1)(images) if normalised else images
    maps = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(maps)
    return keras.Model(images, keras.layers.Conv2D(4, 1, name="head")(maps))


def converted(model, photos=None, kind=None, divided=False):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind is not None:
        inputs = [np.float32(photo[None]) for photo in photos]
        inputs = [image / 127.5 - 1 for image in inputs] if divided else inputs
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = kind
    with captured_noise():
        return converter.convert()


def labels_of(model, photo):
    return np.asarray(model(np.float32(photo[None])))[0].argmax(-1)


@pytest.mark.filterwarnings(UNSAID)
@pytest.mark.parametrize("size", [SIZE, (None, None)], ids=["static", "dynamic"])
def test_what_the_converter_makes_of_a_keras_model(size, photos, tmp_path):
    model = network(*size)
    (tmp_path / "a.tflite").write_bytes(converted(model))
    loaded = load(tmp_path / "a.tflite")
    assert loaded.input_size == (SIZE if None not in size else None)
    (tmp_path / "a.txt").write_text("sky\nroad\nsea\ntree\n")
    assert load(tmp_path / "a.tflite").class_names == ["sky", "road", "sea", "tree"]
    others = [] if None not in size else synthetic_images([(31, 50)])
    for photo in [*photos[:2], *others]:
        (found,) = loaded.predict([photo])
        assert (found == labels_of(model, photo)).mean() > 0.999


@pytest.mark.parametrize("kind", [tf.uint8, tf.int8])
@pytest.mark.parametrize("normalised", [True, False], ids=["0..255", "-1..1"])
def test_integers_with_scale_and_zero_point(kind, normalised, photos, tmp_path):
    model = network(*SIZE, normalised=normalised)
    content = converted(model, photos, kind, divided=not normalised)
    (tmp_path / "a.tflite").write_bytes(content)
    reference = network(*SIZE)
    reference.set_weights(model.get_weights())
    (found,) = load(tmp_path / "a.tflite").predict(photos[:1])
    assert (found == labels_of(reference, photos[0])).mean() > 0.97  # 8 bits


@pytest.mark.filterwarnings(UNSAID)
def test_a_file_without_signature(photos, tmp_path):
    model = network(*SIZE)
    graph = LitertGraph(converted(model))
    graph.model.signatureDefs = []
    (tmp_path / "a.tflite").write_bytes(graph.packed())
    (found,) = load(tmp_path / "a.tflite").predict(photos[:1])
    assert (found == labels_of(model, photos[0])).mean() > 0.999


def test_it_says_what_it_assumes_and_which_names_do_not_fit(photos, tmp_path):
    (tmp_path / "a.tflite").write_bytes(converted(network(*SIZE)))
    (tmp_path / "labels.txt").write_text("sky\nroad\n")
    with pytest.warns(UserWarning, match="2 class names for 4 classes; they are left out"):
        assert load(tmp_path / "a.tflite").class_names is None
    (tmp_path / "labels.txt").unlink()
    with pytest.warns(UserWarning, match="does not say how images are normalised: RGB in 0..255"):
        load(tmp_path / "a.tflite")


@pytest.mark.filterwarnings(UNSAID)
def test_damage_is_an_error_of_each_image(photos, tmp_path, capsys):
    graph = LitertGraph(converted(network(*SIZE)))
    for buffer in graph.model.buffers:
        if buffer.data is not None and len(buffer.data) == 4 * 8 * 4:
            buffer.data = np.full(len(buffer.data), 255, np.uint8)  # NaN
    (tmp_path / "a.tflite").write_bytes(graph.packed())
    Image.fromarray(photos[0]).save(tmp_path / "a.png")
    arguments = ["predict", "--model", str(tmp_path / "a.tflite"), str(tmp_path / "a.png")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 1
    assert "a.png: " in (printed := capsys.readouterr().err)
    assert "NaN or infinite scores: is the file damaged?" in printed
    assert "Traceback" not in printed


def info(name, shape, dtype="float32", scale=0.0, zero_point=0):
    return TensorInfo(name, shape, np.dtype(dtype), scale, zero_point)


class TestImages:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10

    def test_as_the_file_says(self):
        tensor = info("x", (1, 2, 4, 3))
        found = ImageInput([tensor], "f", ([127.5], [127.5])).of(self.image)
        np.testing.assert_allclose(found[0], self.image / 127.5 - 1, rtol=1e-6)

    def test_channels_first(self):
        first = ImageInput([info("x", (None, 3, None, None))], "f")
        assert first.size is None
        np.testing.assert_array_equal(first.of(self.image)[0], self.image.transpose(2, 0, 1))

    @pytest.mark.parametrize(
        ("dtype", "scale", "zero_point", "expected"),
        [
            ("uint8", 1.0, 0, lambda x: x),
            ("int8", 1.0, -128, lambda x: x - 128),
            ("uint8", 0.5, 0, lambda x: np.minimum(2 * x, 255)),
            ("uint8", 1 / 255, 0, lambda x: x),  # 0..1
            ("int8", 1 / 127.5, 0, lambda x: x - 128),  # -1..1
        ],
    )
    def test_integers(self, dtype, scale, zero_point, expected):
        tensor = info("x", (1, 2, 4, 3), dtype, scale, zero_point)
        found = ImageInput([tensor], "f").of(self.image)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found[0], expected(self.image.astype(int)))

    @pytest.mark.parametrize(
        "inputs",
        [
            [],
            [info("a", (1, 8, 8, 3)), info("b", (1, 2))],
            [info("a", (1, 8, 8, None))],
            [info("a", (4, 8, 8, 3))],
            [info("a", (1, 8, 8, 3), object)],
        ],
    )
    def test_what_is_refused(self, inputs):
        with pytest.raises(ExportError, match="file.x: expected .*Found: "):
            ImageInput(inputs, "file.x")


class TestOutputs:
    def test_the_largest_map_of_scores_or_the_one_by_name(self):
        outputs = [info("aux", (1, 4, 4, 5)), info("final", (1, 8, 8, 5)), info("e", (1, 7))]
        assert ChosenOutput(outputs, "f", False).index == 1
        assert ChosenOutput([*outputs, info("logits", (1, 2, 2, 5))], "f", False).index == 3
        shipped = [info("labels", (1, 8, 8), "uint8"), info("scores", (1, 8, 8, 5), "uint8", 0.1)]
        assert ChosenOutput(shipped, "f", False).kind == "labels"

    @pytest.mark.parametrize(
        ("outputs", "channels_first"),
        [
            ([info("a", (1, 8, 8, 5)), info("b", (1, 8, 8, 5))], False),
            ([info("a", (1, 1000))], False),
            ([info("a", (1, 8, 8, 1))], False),
            ([], True),
        ],
    )
    def test_what_is_refused(self, outputs, channels_first):
        with pytest.raises(ExportError, match="f: expected one output 'logits' or 'labels'"):
            ChosenOutput(outputs, "f", channels_first)

    def test_scores_are_real_and_ids_as_they_are(self):
        scores = ChosenOutput([info("a", (1, 3, 2, 2), "int8", 0.5, -3)], "f", True)
        stored = np.arange(12, dtype=np.int8).reshape(1, 3, 2, 2)
        expected = 0.5 * (stored[0].transpose(1, 2, 0).astype(float) + 3)
        assert scores.classes == 3
        np.testing.assert_array_equal(scores.of(stored), expected)
        for shape in ((1, 2, 3), (1, 2, 3, 1), (1, 1, 2, 3)):
            first = shape[1] == 1
            ids = ChosenOutput([info("a", shape, "int64")], "f", first)
            found = ids.of(np.arange(6).reshape(shape))
            np.testing.assert_array_equal(found, np.arange(6).reshape(2, 3))
