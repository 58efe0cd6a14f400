"""EncNet's two variants, their outputs and losses, their sizes, and the CIFAR-10 classifier."""

import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ctxseg as ctx
from tests.layers.layer_checks import randomize
from tests.layers.numpy_layers import atrous_convolution, norm_relu
from tests.layers.test_encoding import residual_encoding
from tests.models import model_checks
from tests.models.model_checks import NUM_CLASSES, build_small


def _trainable(model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("num_classes", "millions"), [(19, 35.89), pytest.param(150, 36.06, marks=pytest.mark.whole)]
)
def test_parameters_of_encnet_resnet50(num_classes, millions):
    model = ctx.models.build("encnet_resnet50", num_classes)
    assert round(_trainable(model) / 1e6, 2) == millions
    if num_classes == 19:
        lateral = ctx.models.build("encnet_resnet50", num_classes, lateral=True)
        assert round((_trainable(lateral) - _trainable(model)) / 1e6, 2) == 7.87


@pytest.mark.whole
def test_the_module_adds_two_percent_of_multiply_adds_at_most():
    options = {"num_classes": 19, "stem": "v1c"}
    plain = ctx.models.build("fcn_resnet50", **options)
    encnet = ctx.models.build("encnet_resnet50", auxiliary=False, **options)
    counts = [
        ctx.benchmark.count_multiply_adds(model, (480, 480)).total for model in (plain, encnet)
    ]
    # The projection, the two products of the encoding, and what acts on vectors.
    pixels, channels, codewords = 60 * 60, 512, 32
    on_pixels = pixels * channels * (channels + 2 * codewords)
    on_vectors = channels * (channels + 19)
    assert counts[1] - counts[0] == on_pixels + on_vectors
    assert counts[1] <= 1.02 * counts[0]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["logits", "presence_logits", "aux_logits"]),
        ({"auxiliary": False}, ["logits", "presence_logits"]),
        ({"presence": False, "auxiliary": False}, ["logits"]),
        ({"variant": "paper"}, ["logits", "presence_logits", "aux_presence_logits"]),
        ({"variant": "paper", "auxiliary": False}, ["logits", "presence_logits"]),
    ],
)
def test_outputs_by_option(options, names):
    model = build_small("encnet_mobilenet_v2", **options)
    assert sorted(model.output) == sorted(names)
    for name, output in model.output.items():
        rank = 2 if "presence" in name else 4
        assert (len(output.shape), output.shape[-1], output.dtype) == (rank, NUM_CLASSES, "float32")
    arguments = ctx.training.default_compile(model)
    weights = {"logits": 1.0, "aux_logits": 0.4, "presence_logits": 0.2, "aux_presence_logits": 0.2}
    assert arguments["loss_weights"] == {name: weights[name] for name in model.output}
    for name, loss in arguments["loss"].items():
        kind = "ClassPresenceLoss" if "presence" in name else "SegmentationCrossentropy"
        assert type(loss).__name__ == kind


def test_the_paper_variant_trains_on_presence_at_two_stages(rng):
    model = build_small("encnet_mobilenet_v2", variant="paper")
    model.compile(**ctx.training.default_compile(model, ignore_label=255))
    images, labels = model_checks.batch(rng)
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = model.compute_loss(images, labels, outputs)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, weight.path
    presence = ctx.losses.ClassPresenceLoss()
    expected = float(ctx.losses.SegmentationCrossentropy()(labels, outputs["logits"]))
    for name in ("presence_logits", "aux_presence_logits"):
        expected += 0.2 * float(presence(labels, outputs[name]))
    assert float(loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("output_stride", [8, 32])
def test_laterals_join_at_the_last_features_size(rng, output_stride):
    model = build_small("encnet_mobilenet_v2", lateral=True, output_stride=output_stride)
    assert model.get_layer("lateral_concat").output.shape[-1] == 3 * 16
    images, _ = model_checks.batch(rng, count=1)
    assert model(images)["logits"].shape == (1, 65, 97, NUM_CLASSES)


def test_the_head_is_built_from_the_tested_parts(rng):
    """Gate, presence branch and classifier, recomputed from the module's own two outputs."""
    model = build_small("encnet_mobilenet_v2", auxiliary=False)
    randomize(model, rng)
    module = model.get_layer("context_encoding")
    names = ("head_conv", "context_encoding", "logits_classifier")
    tap = keras.Model(model.input, [model.get_layer(name).output for name in names])
    images, _ = model_checks.batch(rng, count=1)
    before, (after, encoded), scores = tap(images)
    for ours, theirs in zip(module(before), (after, encoded), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    outputs = model(images)
    presence = model.get_layer("presence_logits")
    expected = np.array(encoded) @ np.array(presence.kernel) + np.array(presence.bias)
    np.testing.assert_allclose(outputs["presence_logits"], expected, rtol=1e-4, atol=1e-5)
    resized = tf.image.resize(scores, (65, 97))
    np.testing.assert_allclose(outputs["logits"], resized, rtol=1e-4, atol=1e-5)


@pytest.mark.whole
def test_exports_agree(rng, tmp_path):
    model = build_small("encnet_mobilenet_v2")
    randomize(model, rng)
    result = ctx.export.export_litert(model, tmp_path / "encnet.tflite", (65, 97))
    assert result.parity.passed
    assert not [name for name in ctx.export.litert_operations(result) if "custom" in name]
    names = [f"class{index}" for index in range(NUM_CLASSES)]
    assert ctx.export.export_saved_model(model, tmp_path / "encnet", names).parity.passed


def test_encnet_cifar_has_the_papers_size():
    model = ctx.models.build("encnet_cifar", num_classes=10, widen=4, num_codewords=16)
    assert model.input.shape == (None, 32, 32, 3)
    assert round(_trainable(model) / 1e6, 3) == 3.514
    assert list(model.output) == ["logits"]
    assert model.output["logits"].shape == (None, 10)
    assert model.num_classes == 10
    # Fourteen layers on the longest way, as the paper counts: a stem, twelve 3×3, a classifier.
    convolutions = [layer for layer in model.layers if getattr(layer, "kernel_size", 0) == (3, 3)]
    assert len(convolutions) + 1 == 14


def _conv(x, layer):
    output = atrous_convolution(x, layer.kernel)[:, :: layer.strides[0], :: layer.strides[1]]
    return output + np.array(layer.bias) if layer.use_bias else output


def _norm(x, layer):
    scale = np.array(layer.gamma) / np.sqrt(np.array(layer.moving_variance) + layer.epsilon)
    return (x - np.array(layer.moving_mean)) * scale + np.array(layer.beta)


def test_encnet_cifar_is_its_definition(rng):
    """The whole network in float64: convolutions, gates by L2-normalised codes, shortcuts."""
    model = ctx.models.build("encnet_cifar", 3, (8, 8, 3), widen=1, num_codewords=2)
    randomize(model, rng)
    images = rng.uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    part = model.get_layer
    x = (images - np.array([125.3, 123.0, 113.9])) / np.array([63.0, 62.1, 66.7])
    x = norm_relu(_conv(x, part("stem_conv")), part("stem_bn"))
    for name in [f"stage{stage}_block{block}" for stage in (1, 2, 3) for block in (1, 2)]:
        y = norm_relu(_conv(x, part(f"{name}_conv1")), part(f"{name}_conv1_bn"))
        y = _norm(_conv(y, part(f"{name}_conv2")), part(f"{name}_conv2_bn"))
        reduced = _conv(y, part(f"{name}_context_reduce"))
        reduced = norm_relu(reduced, part(f"{name}_context_reduce_bn"))
        codewords = part(f"{name}_context_encoding").codewords
        codes = residual_encoding(reduced, codewords, np.full(2, -0.5)).reshape(2, -1)
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
        gate = part(f"{name}_context_gate")
        gate = codes @ np.array(gate.kernel) + np.array(gate.bias)
        y = y / (1 + np.exp(-gate))[:, None, None]
        if name in ("stage2_block1", "stage3_block1"):
            x = _conv(x, part(f"{name}_shortcut"))
        x = np.maximum(x + y, 0)
    x = norm_relu(x, part("tail_bn")).mean(axis=(1, 2))
    expected = x @ np.array(part("logits").kernel) + np.array(part("logits").bias)
    # Float32 rounding over fourteen layers.
    np.testing.assert_allclose(model(images)["logits"], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param("float32", marks=pytest.mark.whole),
        pytest.param("mixed_bfloat16", marks=pytest.mark.whole),
        "mixed_float16",
    ],
)
def test_encnet_cifar_trains_and_saves(rng, tmp_path, policy):
    keras.config.set_dtype_policy(policy)
    model = ctx.models.build("encnet_cifar", 4, (12, 12, 3), widen=1, num_codewords=3)
    images = rng.uniform(0, 255, (8, 12, 12, 3)).astype("float32")
    labels = rng.integers(0, 4, 8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly, since tracing costs more than so few steps; the script's test runs the graph.
    model.compile(ctx.training.SGD(0.05, momentum=0.9), {"logits": loss}, run_eagerly=True)
    losses = model.fit(images, labels, batch_size=8, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]
    expected = np.array(model(images)["logits"])
    assert expected.dtype == "float32"
    model.save(tmp_path / "classifier.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.models.load_model(tmp_path / "classifier.keras")
    assert type(loaded) is ctx.models.ClassificationModel
    np.testing.assert_array_equal(loaded(images)["logits"], expected)
    model = ctx.models.build(
        "encnet_cifar", 4, widen=1, num_codewords=3, weights=tmp_path / "classifier.keras"
    )
    assert model.input.shape == (None, 32, 32, 3)


@pytest.mark.whole
def test_the_classifiers_script_trains_and_saves(rng, tmp_path, monkeypatch, capsys):
    """On random images instead of a download."""
    arrays = (
        rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8),
        rng.integers(0, 10, 12, dtype=np.int64),
    )
    data = tf.data.Dataset.from_tensor_slices(arrays)
    monkeypatch.setattr("tensorflow_datasets.load", lambda *_, **__: [data, data])
    output = tmp_path / "encnet_cifar.keras"
    words = f"--widen 1 --num-codewords 2 --epochs 1 --batch-size 6 --output {output}"
    monkeypatch.setattr(sys, "argv", ["train_encnet_cifar.py", *words.split()])
    script = Path(__file__).parents[2] / "scripts/train_encnet_cifar.py"
    runpy.run_path(str(script), run_name="__main__")
    assert "Test error" in capsys.readouterr().out
    assert type(keras.models.load_model(output)) is ctx.models.ClassificationModel


def test_errors_about_the_classifier():
    with pytest.raises(ValueError, match="no option 'wide'.*Did you mean 'widen'?"):
        ctx.models.build("encnet_cifar", 10, wide=4)
    with pytest.raises(ValueError, match="'encnet_cifar' has no option 'output_stride'"):
        ctx.models.build("encnet_cifar", 10, output_stride=8)
    with pytest.raises(ValueError, match=r"`input_shape` must be \(height, width, 3\)"):
        ctx.models.build("encnet_cifar", 10, (32, 32))
    model = ctx.models.build("encnet_cifar", 10, widen=1)
    with pytest.raises(ValueError, match="`model` must be a segmentation model.*'encnet_cifar'"):
        ctx.training.default_compile(model)
    with pytest.raises(ValueError, match="Did you mean 'encnet_cifar'?"):
        ctx.models.build("encnet_cifer", 10)
    assert "encnet_cifar" in ctx.models.list_models("*cifar*")
