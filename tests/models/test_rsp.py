"""What the RSP family costs, and what it exports to."""

import pytest

import keras_ctxseg as ctx
from tests.export.exporting import random_image
from tests.layers.layer_checks import randomize
from tests.models.model_checks import NUM_CLASSES, build_small


@pytest.mark.whole
def test_a_quarter_of_deeplabv3_at_most():
    """1024x2048, 19 classes: 322 GMAC is 25 % of DeepLabv3's 1289 at output stride 8."""
    model = ctx.models.build("rsp_resnet50", 19)
    count = ctx.benchmark.count_multiply_adds(model, (1024, 2048)).total
    assert round(count / 1e9) == 194
    assert count <= 322e9


@pytest.mark.whole
def test_saved_model_agrees(rng, tmp_path):
    """At an odd size."""
    model = build_small("rsp_mobilenet_v2")
    randomize(model, rng)
    names = [f"class{index}" for index in range(NUM_CLASSES)]
    images = [random_image(65, 97)]
    saved = ctx.export.export_saved_model(model, tmp_path / "saved", names, check_images=images)
    assert saved.parity.passed
    assert saved.parity.max_softmax_difference < 1e-4


@pytest.mark.whole
def test_litert_agrees(rng, tmp_path):
    """At an odd size, of builtin operations only, without gathering."""
    model = build_small("rsp_mobilenet_v2", heads=8, window=5)
    randomize(model, rng)
    images = [random_image(65, 97)]
    lite = ctx.export.export_litert(model, tmp_path / "m.tflite", (65, 97), check_images=images)
    assert lite.parity.passed
    assert lite.parity.max_softmax_difference < 1e-4
    operations = ctx.export.litert_operations(lite)
    assert "BATCH_MATMUL" in operations
    assert not {"GATHER", "GATHER_ND", "WHERE", "BROADCAST_TO"} & set(operations)


def test_filters_that_heads_do_not_divide():
    with pytest.raises(ValueError, match="`filters` must be a positive multiple of `heads`"):
        build_small("rsp_mobilenet_v2", filters=15)
