"""What the RSP family costs, and what it exports to."""

import pytest

import keras_ctxseg as ctx
from tests.layers.layer_checks import randomize
from tests.models.model_checks import build_small


def _multiply_adds(name, **options):
    model = ctx.models.build(name, 19, **options)
    return ctx.benchmark.count_multiply_adds(
        lambda images, training=False: model(images, training=training)["logits"], (1024, 2048)
    ).total


@pytest.mark.slow
def test_a_quarter_of_deeplabv3_at_most():
    """1024x2048, 19 classes: 322 GMAC is 25 % of DeepLabv3's 1289 at output stride 8."""
    deeplab = _multiply_adds("deeplabv3_resnet50", output_stride=8)
    assert round(deeplab / 1e9) == 1289
    assert round(_multiply_adds("rsp_resnet50") / 1e9) == 194
    assert _multiply_adds("rsp_resnet50", filters=256) <= 0.25 * deeplab


@pytest.mark.slow
def test_litert_export_agrees_and_is_builtin(rng, tmp_path):
    model = build_small("rsp_mobilenet_v2")
    randomize(model, rng)
    # Refuses what is no builtin, and what disagrees with the model.
    result = ctx.export.export_litert(model, tmp_path / "rsp.tflite", (65, 97))
    assert result.parity.passed
    operations = ctx.export.litert_operations(result.path)
    assert "BATCH_MATMUL" in operations
    assert not {"GATHER", "GATHER_ND", "WHERE"} & set(operations)


def test_filters_that_heads_do_not_divide():
    with pytest.raises(ValueError, match="`filters` must be a positive multiple of `heads`"):
        build_small("rsp_mobilenet_v2", filters=12)
