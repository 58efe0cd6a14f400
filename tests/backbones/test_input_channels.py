"""Images of other channels than RGB, and normalisation by given numbers."""

import functools

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.backbones import create, spread_over_channels
from keras_ctxseg.convert.mapping import map_weights
from tests.layers.layer_checks import randomize

OWN = {
    "mobilenet_v2": {"width": 0.35},
    "resnet18": {"stem": "deep"},
    "resnet50": {},
    "xception65": {"middle_repeats": 1},
}


def test_spreading_keeps_the_answer_to_grey(rng):
    kernel = rng.normal(size=(3, 3, 3, 5)).astype("float32")
    grey = rng.normal(size=(1, 9, 9, 1)).astype("float32")
    expected = keras.ops.conv(np.repeat(grey, 3, axis=-1), kernel)
    for channels in (1, 2, 4, 13):
        spread = spread_over_channels(kernel, channels)
        assert spread.shape == (3, 3, channels, 5) and spread.dtype == np.float32
        found = keras.ops.conv(np.repeat(grey, channels, axis=-1), spread)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        spread_over_channels(kernel, 4)[:, :, 2], kernel.sum(axis=2) / 4, rtol=1e-6
    )


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", [*OWN, "spinenet", "mobilenet_v3_small"])
def test_every_backbone_takes_them(rng, name, channels):
    if name == "spinenet":
        backbone = ctx.backbones.SpineNet("s49s", 3, 3, width=0.1)
    else:
        backbone = create(name, output_stride=16, **OWN.get(name, {}))
    model = backbone.as_model((None, None, channels))
    images = rng.uniform(0, 255, (1, 64, 33, channels)).astype("float32")
    for info in backbone.features:
        shape = model(images)[f"level{info.level}"].shape
        assert shape == (1, -(-64 // info.reduction), -(-33 // info.reduction), info.channels)
    layer = model.get_layer("normalize")
    expected = (images - np.mean(backbone.mean)) / np.mean(backbone.std)
    np.testing.assert_allclose(layer(images), expected, rtol=1e-5, atol=1e-5)


def test_given_mean_and_deviation(rng):
    images = rng.uniform(0, 1000, (2, 40, 40, 4)).astype("float32")
    mean, std = [100.0, 200.0, 300.0, 400.0], [1.0, 2.0, 3.0, 4.0]
    model = ctx.models.build(
        "fcn_mobilenet_v2",
        3,
        (None, None, 4),
        normalization={"mean": mean, "std": std},
        width=0.35,
        filters=8,
    )
    found = model.get_layer("normalize")(images)
    np.testing.assert_allclose(found, (images - np.array(mean)) / std, rtol=1e-5, atol=1e-5)
    assert model(images)["logits"].shape == (2, 40, 40, 3)
    loaded = keras.models.Model.from_config(model.get_config())
    assert loaded.get_layer("normalize").mean == tuple(mean)
    one = create("resnet18", normalization={"mean": 7, "std": 2.0}).as_model((None, None, 2))
    assert one.get_layer("normalize").mean == (7.0, 7.0)
    foreign = create("mobilenet_v3_small", normalization={"mean": np.array(mean), "std": 2.0})
    assert foreign.as_model((None, None, 4)).get_layer("normalize").std == (2.0,) * 4


@pytest.mark.parametrize(
    ("normalization", "message"),
    [
        ("imagnet", "must be one of .*'imagnet'.*Did you mean 'imagenet'?"),
        ({"mean": 1.0}, "must be a name or {'mean': ..., 'std': ...}"),
        ({"mean": [1, 2], "std": [1, 2, 3]}, "as many deviations as means"),
        ({"mean": 1, "std": 0}, "deviations above 0"),
        ({"mean": float("nan"), "std": 1}, "finite numbers"),
        ({"mean": "a lot", "std": 1}, "as many deviations as means"),
        ({"mean": [1, 2], "std": [1, 2]}, "one for each of the 4 channels"),
    ],
)
def test_bad_numbers_are_named(normalization, message):
    build = functools.partial(ctx.models.build, "fcn_mobilenet_v2", 3, (None, None, 4))
    with pytest.raises(ValueError, match=f"`normalization` .*{message}"):
        build(normalization=normalization)


@pytest.mark.parametrize("input_shape", [(64, 64), (64, 64, 0), (64, 64, None), (64, 64, 2.5)])
def test_bad_shapes_are_named(input_shape):
    with pytest.raises(ValueError, match=r"`input_shape` must be \(height, width, channels\)"):
        ctx.models.build("fcn_mobilenet_v2", 3, input_shape)
    with pytest.raises(ValueError, match=r"`input_shape` must be \(height, width, 3\)"):
        ctx.models.build("encnet_cifar", 3, (32, 32, 4))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_published_weights_are_carried_over(rng, name):
    """Of a grey image, as many features as from grey RGB; the report says what was done."""
    options = {"width": 0.35} if name == "mobilenet_v2" else {}
    options["normalization"] = "centred"
    rgb = create(name, **options).as_model()
    randomize(rgb, rng)
    arrays = {}
    for weight in rgb.weights:
        path, key = weight.path.rsplit("/", 1)
        arrays[f"{path}/{key}"] = np.array(weight)
    source = _as_our_own(name)
    grey = rng.uniform(0, 255, (1, 65, 65, 1)).astype("float32")
    expected = rgb(np.repeat(grey, 3, axis=-1))["level5"]
    for channels in (1, 4):
        model = create(name, **options).as_model((None, None, channels))
        report = map_weights(model, arrays, source)
        assert f"the mean over the colours, times 3/{channels}" in report.summary()
        found = model(np.repeat(grey, channels, axis=-1))["level5"]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)
    same = create(name, **options).as_model()
    assert "colours" not in map_weights(same, arrays, source).summary()
    numbers = create(name, **{**options, "normalization": {"mean": 1, "std": 2}}).as_model()
    report = map_weights(numbers, arrays, source)
    assert "trained on images normalised as 'centred'" in report.summary()


def _as_our_own(name):
    """A source that calls every layer what we call it."""
    from keras_ctxseg.convert.tables import KERAS, Row, Source, Table

    def rows(paths, names):
        return [Row(path, f"{path}/conv", f"{path}/bn") for path in paths]

    backbone, epsilon = {"resnet18": ("resnet", 1e-5)}.get(name, (name, 1e-3))
    table = Table(backbone, rows, epsilon, normalization="centred")
    return Source("ours", KERAS, (table,))


def test_keras_networks_carry_theirs_over(rng, tmp_path, caplog):
    from tests.backbones.test_keras_applications import (
        random_weights,
        theirs,
        write_published_layout,
    )

    network = theirs("mobilenet_v3_small", (96, 96))
    image = rng.uniform(0, 255, (1, 96, 96, 1)).astype("float32")
    random_weights(network, rng, np.repeat(image, 3, axis=-1))
    write_published_layout(network, tmp_path / "file.h5")
    model = ctx.models.build(
        "fcn_mobilenet_v3_small",
        3,
        (None, None, 5),
        filters=8,
        output_stride=32,
        weights=f"keras-applications:{tmp_path}/file.h5",
    )
    assert "the mean over the colours, times 3/5, for each channel" in caplog.text
    features = keras.Model(model.input, model.get_layer("head_conv").input)
    expected = network(np.repeat(image, 3, axis=-1))
    found = features(np.repeat(image, 5, axis=-1))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())
