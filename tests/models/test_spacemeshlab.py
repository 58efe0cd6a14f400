"""SpaceMeshLab: what it leaves of its backbone, its last step, options, sizes and exports."""

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg import backbones
from keras_ctxseg.heads import classify_with_memory
from keras_ctxseg.models.spacemeshlab import default_rates
from tests.export.exporting import random_image
from tests.layers.layer_checks import randomize
from tests.layers.numpy_layers import bilinear
from tests.models import model_checks

LEVELS = (2, 3, 4, 5)


def _plain_copy(model, name, **options):
    """The backbone by itself, with the weights that it has in `model`."""
    plain = backbones.create(name, output_stride=8, **options).as_model()
    theirs = {weight.path: weight for weight in model.weights}
    for weight in plain.weights:
        weight.assign(theirs[weight.path])
    return plain


@pytest.mark.parametrize(("name", "training"), [("mobilenet_v2", False), ("resnet18", True)])
def test_the_backbone_is_untouched_at_first(rng, name, training):
    """To the last bit, at every stage, before and after the exchange; once trained no longer."""
    model = model_checks.shared_small(f"spacemeshlab_{name}")
    options = {"width": 0.35} if name == "mobilenet_v2" else {}
    images, _ = model_checks.batch(rng, count=2)
    exchanges = [model.get_layer(f"spam_exchange{level}") for level in LEVELS]
    features = keras.Model(
        model.input,
        {
            f"level{level}": [exchange.input[1], exchange.output[1]]
            for level, exchange in zip(LEVELS, exchanges, strict=True)
        },
    )
    expected = _plain_copy(model, name, **options)(images, training=training)
    for level, maps in features(images, training=training).items():
        for one in maps:
            np.testing.assert_array_equal(one, expected[level])
    exchanges[0].norm.gamma.assign(np.ones(exchanges[0].norm.gamma.shape))
    changed = features(images, training=training)
    np.testing.assert_array_equal(changed["level2"][0], expected["level2"])
    for level in ("level3", "level4", "level5"):
        assert np.abs(changed[level][0] - expected[level]).max() > 1e-3


@pytest.mark.parametrize("stride", [1, 2])
def test_the_classifier_reads_the_concatenation(rng, stride):
    """Interpolating scores of the context is classifying the interpolated context."""
    images = keras.Input((None, None, 3))
    context, memory = keras.Input((None, None, 6)), keras.Input((None, None, 2))
    model = keras.Model(
        [context, memory, images], classify_with_memory(context, memory, 4, images, dropout=0.5)
    )
    randomize(model, rng)
    coarse = rng.normal(size=(1, 3, 4, 6))
    fine = rng.normal(size=(1, -(-21 // stride), -(-30 // stride), 2))
    side_by_side = np.concatenate([bilinear(coarse, *fine.shape[1:3]), fine], axis=-1)
    kernel = np.concatenate(
        [
            model.get_layer(f"logits_{part}").kernel[0, 0]
            for part in ("classifier", "memory_classifier")
        ]
    )
    expected = side_by_side @ kernel + np.array(model.get_layer("logits_classifier").bias)
    result = model([coarse, fine, np.zeros((1, 21, 30, 3))])
    np.testing.assert_allclose(result, bilinear(expected, 21, 30), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"consensus": "mean", "spam_stride": 2, "spam_down": "average_pooling"},
        {"consensus": "concat", "spam_stride": 4, "spam_down": "strided_conv", "output_stride": 16},
        {"share_kernel": False, "branch_filters": 3, "spam_block": 16, "output_stride": 16},
    ],
    ids=lambda options: options.get("consensus", "separate"),
)
def test_options(rng, options):
    model = model_checks.build_small("spacemeshlab_mobilenet_v2", **options)
    for size in ((65, 97), (33, 40)):
        images, _ = model_checks.batch(rng, size, count=1)
        assert model(images)["logits"].shape == (1, *size, model_checks.NUM_CLASSES)
    layers = [model.get_layer(name) for name in ("spam", "spam_exchange5", "consensus")]
    config = {key: value for layer in layers for key, value in layer.get_config().items()}
    for option, value in options.items():
        if option != "output_stride":
            assert config[option.removeprefix("spam_")] == value


def test_rates_follow_the_output_stride():
    assert default_rates(8) == (2, 12, 24, 36)
    assert default_rates(16) == (1, 6, 12, 18)
    assert default_rates(32) == (1, 3, 6, 9)


def test_auxiliary_head():
    model = model_checks.shared_small("spacemeshlab_mobilenet_v2")
    assert ctx.training.default_compile(model)["loss_weights"] == {"logits": 1.0, "aux_logits": 0.4}
    assert model.output["aux_logits"].dtype == "float32"
    plain = model_checks.build_small("spacemeshlab_mobilenet_v2", auxiliary=False)
    assert set(plain.output) == {"logits"}


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("resnet18", (64, 128, 256, 512)),
        pytest.param("resnet50", (256, 512, 1024, 2048), marks=pytest.mark.whole),
    ],
)
def test_parameter_count_at_full_size(name, widths):
    """19 classes: each part as its equations say."""
    model = ctx.models.build(f"spacemeshlab_{name}", 19)
    assert model.get_layer("consensus").rates == (2, 12, 24, 36)
    backbone = backbones.create(name, output_stride=8)
    plain = _trainable(backbone.as_model())
    stem = 9 * 3 * 16 + 2 * 16
    exchanges = sum(
        (channels * 16 + 2 * 16)  # P
        + (9 * 16 * 16 + 2 * 16)  # φ
        + (side**2 * 16 * channels + 2 * channels)  # Q
        for channels, side in zip(widths, (4, 8, 8, 8), strict=True)
    )
    consensus = _trainable(model.get_layer("consensus"))
    auxiliary = 9 * widths[2] * 256 + 2 * 256 + 256 * 19 + 19
    classifier = (256 + 16) * 19 + 19
    assert _trainable(model) == plain + stem + exchanges + consensus + auxiliary + classifier


def _trainable(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


def test_taken_apart(rng):
    """Without a part, what is left is as large as the whole but for that part, and still runs."""
    whole = model_checks.shared_small("spacemeshlab_mobilenet_v2")
    images, _ = model_checks.batch(rng, count=1)
    classes, filters = model_checks.NUM_CLASSES, whole.get_layer("consensus").filters
    plain = _trainable(backbones.create("mobilenet_v2", output_stride=8, width=0.35).as_model())
    bare = model_checks.build_small("spacemeshlab_mobilenet_v2", auxiliary=False)
    auxiliary = _trainable(whole) - _trainable(bare)
    classifier = filters * classes + classes
    no_spam = model_checks.build_small("spacemeshlab_mobilenet_v2", spam=False)
    consensus = _trainable(whole.get_layer("consensus"))
    assert _trainable(no_spam) == plain + consensus + auxiliary + classifier
    no_metrocon = model_checks.build_small("spacemeshlab_mobilenet_v2", metrocon=False)
    reduced = _trainable(no_metrocon.get_layer("reduce"))
    assert reduced == _trainable(whole.get_layer("consensus").reduce)
    assert _trainable(no_metrocon) == _trainable(whole) - consensus + reduced
    for model in (no_spam, no_metrocon):
        assert model(images)["logits"].shape == (*images.shape[:3], classes)


@pytest.mark.whole
def test_exports_agree(rng, tmp_path):
    """SavedModel and LiteRT, the latter of builtin operations only, at an odd size."""
    model = model_checks.build_small("spacemeshlab_mobilenet_v2")
    _raise_what_starts_near_zero(model, rng)
    images = [random_image(65, 97)]
    names = [f"class{index}" for index in range(model_checks.NUM_CLASSES)]
    saved = ctx.export.export_saved_model(model, tmp_path / "saved", names, check_images=images)
    lite = ctx.export.export_litert(model, tmp_path / "m.tflite", (65, 97), check_images=images)
    for export in (saved, lite):
        assert export.parity.passed
        assert export.parity.max_softmax_difference < 1e-4


def _raise_what_starts_near_zero(model, rng):
    """Classifiers and exchanges as large as after training, so that a difference would show."""
    for weight in model.trainable_weights:
        if "classifier/kernel" in weight.path or (weight.name == "gamma" and not np.any(weight)):
            weight.assign(rng.normal(0, 0.2, weight.shape))
