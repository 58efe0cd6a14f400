"""Exports of models whose images are not RGB."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.export import ExportError, check_parity, export_litert, export_saved_model
from keras_ctxseg.export.loading.load import load
from keras_ctxseg.export.saved_model.warm_up import WARM_UP_FILE
from keras_ctxseg.layers import NormalizeImages
from tests.export.exporting import CLASS_NAMES, random_image, tiny_model
from tests.models import model_checks

MEAN, STD = [900.0, 1500.0, 0.2, 40.0, 1000.0], [300.0, 400.0, 0.1, 30.0, 200.0]


@pytest.fixture(scope="module")
def model():
    """Of five bands, on scales far apart."""
    return tiny_model(first=NormalizeImages(MEAN, STD), channels=5)


@pytest.fixture(scope="module")
def grey():
    return tiny_model(first=NormalizeImages([127.5], [127.5]), channels=1)


def bands(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(MEAN, STD, (height, width, 5)).astype("float32")


def labels_of(model, image):
    return np.asarray(model(image[np.newaxis], training=False)["logits"])[0].argmax(-1)


def test_a_saved_model_takes_arrays_alone(model, tmp_path, reloaded_by_child):
    result = export_saved_model(model, tmp_path / "bands", CLASS_NAMES, warm_up=2)
    assert result.parity.passed and result.parity.images == 3
    signatures = tf.saved_model.load(str(result.path)).signatures
    assert set(signatures) == {"serving_default", "float_images", "logits", "labels"}
    spec = tf.TensorSpec((None, None, None, 5), tf.float32, "images")
    for signature in signatures.values():
        assert signature.structured_input_signature[1] == {"images": spec}
    images = [bands(40, 56), bands(33, 71, seed=1)]
    answer = signatures["serving_default"](images=tf.constant(images[0][np.newaxis]))
    # Folding may turn an exact tie.
    assert (answer["labels"][0] == labels_of(model, images[0])).numpy().mean() > 0.999
    loaded = load(result.path)
    assert loaded.channels == 5
    for image, labels in zip(images, loaded.predict(images), strict=True):
        assert (labels == labels_of(model, image)).mean() > 0.999
    card = (result.path / "assets.extra" / "model_card.md").read_text()
    assert "`serving_default`, `labels` | `images`: float32 (batch, height, width, 5)" in card
    assert "JPEG" not in card
    _check_warm_up(result.path)


def _check_warm_up(path):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = list(tf.data.TFRecordDataset(str(path / WARM_UP_FILE)).as_numpy_iterator())
    assert len(records) == 2
    sent = prediction_log_pb2.PredictionLog.FromString(records[1]).predict_log.request
    images = tf.make_ndarray(sent.inputs["images"])
    assert images.dtype == np.float32 and images.shape[0::3] == (1, 5)
    # As different as the bands are.
    np.testing.assert_allclose(images.mean((0, 1, 2)), MEAN, atol=2 * max(STD))
    assert images[..., 2].max() < 1


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_files_take_arrays(model, tmp_path, suffix):
    path = tmp_path / f"bands.{suffix}"
    if suffix == "onnx":
        pytest.importorskip("tf2onnx")
        result = ctx.export.export_onnx(model, path, (40, 56))
    else:
        result = export_litert(model, path, (40, 56))
        # What MediaPipe, which knows RGB alone, would take for a segmenter of its own.
        assert b"SEGMENTER_METADATA" not in path.read_bytes()
    assert result.parity.max_softmax_difference < 1e-4
    loaded = load(path)
    assert (loaded.channels, loaded.input_size) == (5, (40, 56))
    image = bands(40, 56)
    assert (loaded.predict(image)[0] == labels_of(model, image)).mean() > 0.999
    # Sixteen bits of another size: resized and rounded, as in the comparison with Keras.
    counts = np.uint16(np.clip(bands(65, 80), 0, 65535))
    assert loaded.predict([counts])[0].shape == (65, 80)
    assert check_parity(model, path, [counts]).passed
    card = next(tmp_path.glob("*.card.md")).read_text()
    assert "float32 (1, 40, 56, 5), on the scale of the training images" in card


def test_other_images_are_refused(model, tmp_path):
    export_litert(model, tmp_path / "bands.tflite", (33, 33))
    loaded = load(tmp_path / "bands.tflite")
    expected = r"expected an array \(height, width, 5\)"
    with pytest.raises(ValueError, match=rf"images\[0\]: {expected}. Received uint8 \(40, 40, 3"):
        loaded.predict([random_image(40, 40)])
    with pytest.raises(ValueError, match=f"{expected}, as files are read as RGB"):
        loaded.predict([tmp_path / "photo.jpg"])
    with pytest.raises(ValueError, match="expected images with 5 channels. Received 3"):
        loaded.segment(random_image(40, 40)[np.newaxis])
    with pytest.raises(ValueError, match=rf"images\[0\]: {expected}"):
        export_saved_model(model, tmp_path, CLASS_NAMES, check_images=[random_image(40, 40)])
    with pytest.raises(ExportError, match=r"input_shape=\(None, None, 1\)"):
        export_saved_model(tiny_model(64, first=keras.layers.Identity(), channels=1), tmp_path,
                           CLASS_NAMES)  # fmt: skip


def test_integers_are_for_images_of_8_bits(model, grey, tmp_path):
    path = tmp_path / "int8.tflite"
    with pytest.raises(ValueError, match="calibration_images: expected uint8.*Received float32"):
        export_litert(model, path, (33, 40), form="int8", calibration_images=[bands(33, 40)] * 32)
    photos = [random_image(33, 40, seed)[..., :1] for seed in range(32)]
    result = export_litert(grey, path, (33, 40), form="full_int8", calibration_images=photos)
    assert result.parity.images == 2 and result.parity.label_agreement > 0.98
    with pytest.raises(ValueError, match="int8.tflite: expected a uint8 image. Received float32"):
        load(path).predict([np.float32(photos[0])])


FAMILIES = ["fcn", "deeplabv3", "deeplabv3plus", "encnet", "ksac", "rsp", "rsp_panoptic",
            "spacemeshlab"]  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize(
    "name", [*(f"{family}_mobilenet_v2" for family in FAMILIES), "spinenet_seg_s49s"]
)
def test_every_family(rng, tmp_path, name, reloaded_by_child):
    """Trained a step, saved, loaded and exported, for four channels."""
    model = model_checks.build_small(
        name, input_shape=(None, None, 4), normalization={"mean": 500, "std": 200}
    )
    images = rng.normal(500, 200, (2, 65, 97, 4)).astype("float32")
    labels = rng.integers(0, model_checks.NUM_CLASSES, (2, 65, 97)).astype("int32")
    model.compile(**ctx.training.default_compile(model))
    assert np.isfinite(model.fit(images, labels, batch_size=2, verbose=0).history["loss"]).all()
    expected = np.array(model(images)["logits"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images)["logits"], expected)
    names = [str(k) for k in range(model_checks.NUM_CLASSES)]
    assert export_saved_model(model, tmp_path / "saved", names).parity.passed
    assert export_litert(model, tmp_path / "a.tflite", (64, 65)).parity.passed
