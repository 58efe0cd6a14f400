"""Every backbone of the guide's table under a head: a training step, save, load, exports."""

import itertools

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.export.graph.freezing import frozen_forward
from tests.backbones.test_keras_applications import SMALLEST
from tests.costs.test_backbone_table import NAMES
from tests.models import model_checks

# Other tests take resnet18 and mobilenet_v2 all the way, with every head.
HERE = [*SMALLEST, "resnet18_vd"]
# LiteRT's converter takes most of the time of the others.
CONVERTED = ["mobilenet_v3_small", "resnet18_vd"]
# Over 100 M parameters: TensorFlow copies them many times on the way to a file.
TOO_LARGE_TO_EXPORT = ["convnext_large", "convnext_xlarge", "efficientnetv2_l"]
# Each network under another head; every family takes each.
HEADS = ["fcn", "deeplabv3plus", "encnet", "ksac", "spacemeshlab", "rsp"]
MODELS = [f"{head}_{name}" for name, head in zip(NAMES, itertools.cycle(HEADS), strict=False)]


def small(name):
    """With the narrowest heads, 16 pixels a cell."""
    if name.endswith("_vd"):
        pytest.importorskip("keras_hub")
    narrow = {"num_codewords": 4} if name.startswith("encnet") else {}
    return model_checks.build_small(name, output_stride=16, **narrow)


@pytest.mark.parametrize("name", HERE)
def test_a_step_and_files(rng, tmp_path, name):
    """One step of `fit`, saved, loaded, and as the graph that exports hold."""
    model = small(f"fcn_{name}")
    images, labels = model_checks.batch(rng, (33, 49))
    model.compile(**ctx.training.default_compile(model), run_eagerly=True)
    before = [np.array(weight) for weight in model.trainable_weights]
    model.fit(images, labels % model_checks.NUM_CLASSES, batch_size=2, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    moved = [np.any(a != b) for a, b in zip(before, model.trainable_weights, strict=True)]
    assert np.mean(moved) > 0.9
    expected = np.array(model(images)["logits"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images)["logits"], expected)
    scale = np.abs(expected).max()
    frozen = frozen_forward(model)(keras.ops.convert_to_tensor(images))["logits"]
    np.testing.assert_allclose(frozen, expected, rtol=0, atol=1e-4 * scale)
    if name in CONVERTED:
        report = ctx.export.export_litert(model, tmp_path / "a.tflite", (33, 49)).parity
        assert report.max_softmax_difference < 1e-4


@pytest.mark.whole
@pytest.mark.parametrize("name", MODELS)
def test_from_a_training_step_to_files(rng, tmp_path, name, reloaded_by_child):
    """Every weight has a gradient; saved, loaded, and exported as SavedModel and LiteRT file."""
    model = small(name)
    for layer in model.layers:
        # Stochastic depth may drop a block of EfficientNetV2 for both images.
        if isinstance(layer, keras.layers.Dropout) and layer.noise_shape is not None:
            layer.rate = 0.0
    model_checks.check_training_step(model, rng)
    images, _ = model_checks.batch(rng, (47, 64), count=1)
    expected = np.array(model(images)["logits"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images)["logits"], expected)
    assert [w.path for w in loaded.weights] == [w.path for w in model.weights]
    if name.endswith(tuple(TOO_LARGE_TO_EXPORT)):
        return
    # Both compare what they have written with the model, and write nothing if it differs.
    photo = np.uint8(images[0])
    names = [f"class {number}" for number in range(model_checks.NUM_CLASSES)]
    served = ctx.export.export_saved_model(model, tmp_path, names, check_images=[photo], warm_up=0)
    assert served.parity.max_softmax_difference < 1e-4
    device = ctx.export.export_litert(model, tmp_path / "model.tflite", (47, 64))
    assert device.parity.max_softmax_difference < 1e-4
