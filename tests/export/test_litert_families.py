"""Every family as a LiteRT file, float32 and int8, and as an ONNX file; small and untrained."""

import numpy as np
import pytest

from keras_ctxseg.export import export_litert, export_onnx, litert_operations
from keras_ctxseg.export.parity.check import synthetic_images
from tests.models.model_checks import shared_small

SIZE = (48, 64)
FAMILIES = ("fcn", "deeplabv3plus", "ksac", "encnet", "spacemeshlab", "rsp")


def always(*families):
    """All families, those but `families` by `make test-all` alone."""
    marks = {family: () if family in families else pytest.mark.whole for family in FAMILIES}
    return pytest.mark.parametrize("family", [pytest.param(k, marks=m) for k, m in marks.items()])


@pytest.fixture(scope="module")
def photos():
    return synthetic_images([SIZE] * 32, seed=2)


def as_if_trained(name, photos):
    """Statistics of images, and scores of a spread that the softmax tells apart."""
    model = shared_small(name)
    for _ in range(4):
        model(np.float32(photos[:8]), training=True)
    (classifier,) = [x for x in model.layers if x.name == "logits_classifier"]
    # A new classifier's are nearly 0.
    spread = np.std(model(np.float32(photos[:8]), training=False)["logits"])
    classifier.kernel.assign(classifier.kernel / spread)
    return model


def no_custom_operations(path):
    return not [kind for kind in litert_operations(path) if "custom" in kind]


@always("ksac", "encnet", "spacemeshlab", "rsp")
def test_float_follows_keras(family, photos, tmp_path):
    model = as_if_trained(f"{family}_mobilenet_v2", photos)
    export = export_litert(model, tmp_path / "fp32.tflite", SIZE, check_images=photos[:3])
    assert export.parity.max_softmax_difference < 1e-4
    assert no_custom_operations(export.path)
    if family == "rsp":
        kinds = set(litert_operations(export.path))
        assert "BATCH_MATMUL" in kinds
        assert not {"GATHER", "GATHER_ND", "WHERE", "BROADCAST_TO"} & kinds


@always("ksac")
def test_int8_follows_keras(family, photos, tmp_path):
    export = export_litert(
        as_if_trained(f"{family}_mobilenet_v2", photos),
        tmp_path / "int8.tflite",
        SIZE,
        form="int8",
        calibration_images=photos,
        check_images=photos[:3],
        force=True,  # Labels of an untrained network lie between classes.
    )
    # Uniform guesses would differ by far more than steps of 1/255 of a range do.
    assert export.parity.mean_softmax_difference < 0.05
    assert export.parity.label_agreement > 0.7  # 0.776 and 0.799 of two families in one run
    assert no_custom_operations(export.path)


@always("ksac")
def test_onnx_follows_keras(family, photos, tmp_path):
    pytest.importorskip("tf2onnx")
    model = as_if_trained(f"{family}_mobilenet_v2", photos)
    export = export_onnx(model, tmp_path / "fp32.onnx", SIZE, check_images=photos[:3])
    assert export.parity.max_softmax_difference < 1e-4
