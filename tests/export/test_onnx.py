"""ONNX files: what goes in and out, what they say about themselves, what is refused."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.export import ExportError, check_parity, export_onnx
from keras_ctxseg.export.loading import onnx_file as onnx_file_module
from keras_ctxseg.export.loading.load import load
from keras_ctxseg.layers import ResizeLike
from tests.export.exporting import CLASS_NAMES, random_image, tiny_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

PALETTE = np.arange(15).reshape(5, 3) * 17


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "deep"
    names = {"class_names": CLASS_NAMES, "palette": PALETTE, "ignore_label": 254}
    return {
        name: export_onnx(
            model, folder / f"{name}.onnx", (40, 56), labels=name == "labels", **names
        )
        for name in ("logits", "labels")
    }


def test_it_computes_the_models_logits(model, exported):
    runner = session(exported["logits"].path)
    (images,), (logits,) = runner.get_inputs(), runner.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(float)", [1, 40, 56, 3])
    assert (logits.name, logits.type, logits.shape) == ("logits", "tensor(float)", [1, 40, 56, 5])
    image = np.float32(random_image(40, 56)[np.newaxis])
    (found,) = runner.run(None, {"images": image})
    # Folding BatchNormalization reorders float32 sums.
    np.testing.assert_allclose(found, model(image, training=False)["logits"], rtol=1e-4, atol=1e-4)
    operations = [node.op_type for node in onnx.load(exported["logits"].path).graph.node]
    assert "BatchNormalization" not in operations
    assert operations.count("Conv") == 3


def test_class_ids(model, exported):
    runner = session(exported["labels"].path)
    (labels,) = runner.get_outputs()
    assert (labels.name, labels.type, labels.shape) == ("labels", "tensor(uint8)", [1, 40, 56])
    image = np.float32(random_image(40, 56, seed=4)[np.newaxis])
    (found,) = runner.run(None, {"images": image})
    expected = np.asarray(model(image, training=False)["logits"]).argmax(-1)
    assert (found == expected).mean() > 0.999  # ties in the last bit
    assert exported["labels"].parity.max_softmax_difference is None


def test_many_classes_need_wider_ids(tmp_path):
    images = keras.Input((None, None, 3))
    classifier = keras.layers.Conv2D(300, 1)
    model = keras.Model(images, {"logits": classifier(images)})
    classifier.bias.assign(np.eye(300)[290] * 1e4)
    export = export_onnx(model, tmp_path / "wide.onnx", (40, 40), labels=True)
    assert session(export.path).get_outputs()[0].type == "tensor(int32)"
    assert (load(export.path).predict([random_image(40, 40)])[0] == 290).all()


def test_what_it_says_about_itself(exported):
    proto = onnx.load(exported["logits"].path)
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    assert entries["labels"].splitlines() == CLASS_NAMES
    details = json.loads(entries["keras_ctxseg"])
    assert details["palette"] == PALETTE.tolist()
    assert details["parity"]["label_agreement"] == exported["logits"].parity.label_agreement
    assert proto.producer_name == "keras_ctxseg"
    card = exported["logits"].path.with_name("logits.onnx.card.md").read_text()
    assert "- Operations: Add, Conv, Mul, Relu" in card
    assert "| passed |" in card


@pytest.mark.parametrize("name", ["logits", "labels"])
def test_loaded_it_labels_images_of_any_size(model, exported, name):
    loaded = load(exported[name].path, threads=1)
    assert loaded.input_size == (40, 56)
    assert loaded.class_names == CLASS_NAMES
    assert loaded.ignore_label == 254
    np.testing.assert_array_equal(loaded.palette, PALETTE)
    images = [random_image(40, 56, seed=1), random_image(90, 64, seed=2)]
    found = loaded.predict(images)
    assert [labels.shape for labels in found] == [(40, 56), (90, 64)]
    resized = tf.round(tf.image.resize(np.float32(images[1])[None], (40, 56), antialias=True))
    logits = tf.image.resize(model(resized, training=False)["logits"], (90, 64))
    # Class ids are resized by the nearest pixel: borders shift.
    assert (found[1] == np.argmax(logits[0], -1)).mean() > (0.999 if name == "logits" else 0.6)
    exact = np.asarray(model(np.float32(images[0])[None], training=False)["logits"])[0]
    assert (found[0] == exact.argmax(-1)).mean() > 0.999


def test_a_failed_comparison_replaces_a_file_by_force_only(exported, tmp_path, monkeypatch):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"old")
    other = tiny_model(seed=4)
    report = check_parity(other, exported["logits"].path, [random_image(40, 56)])
    assert not report.passed
    monkeypatch.setattr("keras_ctxseg.export.onnx.export.check_parity", lambda *_: report)
    with pytest.raises(ExportError, match="export refused: DISAGREES"):
        export_onnx(other, path, (40, 56))
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [
        ("tiny.onnx", b"old")
    ]
    assert not export_onnx(other, path, (40, 56), force=True).parity.passed
    assert "Written by force" in (tmp_path / "tiny.onnx.card.md").read_text()
    assert load(path)._file.metadata.forced


def test_any_size_is_resized_to(tmp_path):
    keras.utils.set_random_seed(6)
    images = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(4, 3, strides=5, padding="same")(images)
    for like in (keras.layers.MaxPool2D(4, 4, padding="same")(images), images):
        logits = ResizeLike()(logits, like)
    model = keras.Model(images, {"logits": logits})
    for size in ((65, 97), (52, 54)):  # 11 times 13/11 is below 13 in float32
        export = export_onnx(model, tmp_path / "odd.onnx", size)
        image = np.float32(random_image(*size, seed=1)[None])
        (found,) = session(export.path).run(None, {"images": image})
        np.testing.assert_allclose(found, model(image)["logits"], rtol=1e-4, atol=1e-3)


def test_maps_of_one_pixel_are_added_too(tmp_path):
    keras.utils.set_random_seed(5)
    images = keras.Input((None, None, 3))
    coarse = keras.layers.Conv2D(4, 40, strides=40, use_bias=False)(images)  # one pixel
    whole = keras.layers.Conv2D(4, 3, padding="same", bias_initializer="ones")(images)
    model = keras.Model(images, {"logits": keras.layers.Add()([whole, coarse])})
    export = export_onnx(
        model, tmp_path / "one.onnx", (40, 40), check_images=[random_image(40, 40)]
    )
    image = np.float32(random_image(40, 40, seed=1)[None])
    (found,) = session(export.path).run(None, {"images": image})
    np.testing.assert_allclose(found, model(image)["logits"], rtol=1e-4, atol=1e-3)


def test_operations_that_onnx_does_not_have(tmp_path):
    images = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(4, 1)(images)
    logits = keras.layers.Lambda(tf.math.bessel_i0e, output_shape=lambda shape: shape)(logits)
    with pytest.raises(ExportError, match="not convertible to ONNX: .*BesselI0e"):
        export_onnx(keras.Model(images, {"logits": logits}), tmp_path / "x.onnx", (40, 40))
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_none(exported, tmp_path):
    content = exported["logits"].path.read_bytes()
    for length in (0, 300, len(content) - 300):
        (tmp_path / "torn.onnx").write_bytes(content[:length])
        with pytest.raises(ExportError, match="torn.onnx: cannot be loaded as an ONNX file"):
            load(tmp_path / "torn.onnx")
    with pytest.raises(ExportError, match="Nothing is there"):
        load(tmp_path / "missing.onnx")
    proto = onnx.load(exported["logits"].path)
    del proto.metadata_props[:]
    (tmp_path / "bare.onnx").write_bytes(proto.SerializeToString())
    assert load(tmp_path / "bare.onnx").class_names is None
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "pixels"
    (tmp_path / "foreign.onnx").write_bytes(proto.SerializeToString())
    with pytest.warns(UserWarning, match="does not say how images are normalised"):
        foreign = load(tmp_path / "foreign.onnx")
    image = random_image(40, 56)
    (expected,) = load(exported["logits"].path).predict([image])
    np.testing.assert_array_equal(foreign.predict([image])[0], expected)


def test_arguments_that_do_not_fit(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"path: expected a name that ends in .onnx"):
        export_onnx(model, tmp_path / "x.tflite", (40, 40))
    with pytest.raises(ValueError, match="input_size: expected height and width of at least 33"):
        export_onnx(model, tmp_path / "x.onnx", (32, 64))
    with pytest.raises(ValueError, match="class_names: expected 5 names.*Received 2"):
        export_onnx(model, tmp_path / "x.onnx", (40, 40), class_names=["a", "b"])
    monkeypatch.setattr(onnx_file_module, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"need onnx, .*pip install 'keras_ctxseg\[onnx\]'"):
        export_onnx(model, tmp_path / "x.onnx", (40, 40))
    assert list(tmp_path.iterdir()) == []
