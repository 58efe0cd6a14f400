"""Every family as a LiteRT file, float32 and int8, and as an ONNX file; tiny and untrained."""

from importlib.util import find_spec

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.export import export_litert, export_onnx, litert_operations
from keras_ctxseg.export.parity.check import synthetic_images

SIZE = (48, 64)
NARROW = {"width": 0.35, "filters": 16}
FAMILIES = {
    "fcn_mobilenet_v2": {"width": 0.35},
    "deeplabv3plus_mobilenet_v2": NARROW,
    "ksac_mobilenet_v2": NARROW,
    "encnet_mobilenet_v2": {**NARROW, "num_codewords": 8},
    "spacemeshlab_mobilenet_v2": NARROW,
    "rsp_mobilenet_v2": {**NARROW, "heads": 2, "window": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_float_and_int8_follow_keras(name, tmp_path):
    keras.utils.set_random_seed(1)
    photos = synthetic_images([SIZE] * 32, seed=2)
    model = ctx.models.build(name, num_classes=4, **FAMILIES[name])
    for _ in range(4):  # Statistics of images: activations as a trained network's.
        model(np.float32(photos[:8]), training=True)
    (classifier,) = [x for x in model.layers if x.name == "logits_classifier"]
    # Scores of a spread that the softmax tells apart; a new classifier's are nearly 0.
    spread = np.std(model(np.float32(photos[:8]), training=False)["logits"])
    classifier.kernel.assign(classifier.kernel / spread)
    single = export_litert(model, tmp_path / "fp32.tflite", SIZE, check_images=photos[:3])
    assert single.parity.max_softmax_difference < 1e-4
    integer = export_litert(
        model,
        tmp_path / "int8.tflite",
        SIZE,
        form="int8",
        calibration_images=photos,
        check_images=photos[:3],
        force=True,  # Labels of an untrained network lie between classes.
    )
    # Uniform guesses would differ by far more than steps of 1/255 of a range do.
    assert integer.parity.mean_softmax_difference < 0.05
    assert integer.parity.label_agreement > 0.85
    for export in (single, integer):
        assert not [kind for kind in litert_operations(export.path) if "custom" in kind]
    if find_spec("tf2onnx"):
        onnx = export_onnx(model, tmp_path / "fp32.onnx", SIZE, check_images=photos[:3])
        assert onnx.parity.max_softmax_difference < 1e-4
