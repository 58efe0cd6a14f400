"""Networks of keras.applications: their features, by name, at every output stride."""

import hashlib
import shutil
import sys
import urllib.error

import h5py
import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.backbones import BACKBONES, create
from keras_ctxseg.backbones.keras_applications import APPLICATIONS
from tests.layers.layer_checks import randomize

# The smallest of each kind runs in `make test`, the others in `make test-all`.
SMALLEST = [
    "convnext_tiny", "densenet121", "efficientnetv2_b0", "mobilenet_v3_small", "resnet50_v2",
    "xception",
]  # fmt: skip


def marked(here):
    """All names, of which those that are not in `here` run in `make test-all` only."""
    return [
        name if name in here else pytest.param(name, marks=pytest.mark.whole)
        for name in APPLICATIONS
    ]


NAMES = marked(SMALLEST)
# As keras.applications documents each network's inputs: (mean, deviation) on the 0...255 scale, or
# `None` where the network takes 0...255 itself.
_TORCH = (255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225]))
_TF = (np.full(3, 127.5), np.full(3, 127.5))
STATISTICS = {"densenet": _TORCH, "resnet": _TF, "xception": _TF}


def theirs(name, size):
    """The network of keras.applications itself, of static size."""
    make = getattr(keras.applications, APPLICATIONS[name].make)
    return make(include_top=False, weights=None, input_shape=(*size, 3))


def random_weights(network, rng, images, gates=True):
    """Activations that vary from pixel to pixel, and no term that 0 or 1 would hide.

    Args:
        images: What the statistics of the normalisations are of.
        gates: Whether squeeze-and-excitation depends on the image; it averages over all pixels.
    """
    randomize(network, rng)
    for weight in network.weights:
        if weight.name.endswith("kernel"):
            # Of a depthwise kernel, (height, width, channels, 1), each channel is one input.
            depthwise = len(weight.shape) == 4 and weight.shape[-1] == 1
            inputs = np.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
            gate = "se_reduce" in weight.path or "squeeze_excite_conv/" in weight.path
            scale = np.sqrt(2 / inputs) * (gates or not gate)
            weight.assign(rng.normal(0, 1, weight.shape) * scale)
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    network(images, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def check_close(found, expected):
    """Relative to the largest feature: a random network multiplies float32's rounding as it goes.

    Features vary from pixel to pixel by a hundred times as much.
    """
    expected = np.array(expected)
    assert np.std(expected, axis=(1, 2)).mean() > 2e-2 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", NAMES)
def test_features_are_the_networks_own(rng, name):
    """At output stride 32, whichever intermediate layer has them, from RGB in 0...255."""
    size, pad = (96, 128), 3 if name == "xception" else 0
    network = theirs(name, (size[0] + 2 * pad, size[1] + 2 * pad))
    images = rng.uniform(0, 255, (1, *size, 3)).astype("float32")
    prepared = images
    for prefix, (mean, std) in STATISTICS.items():
        if name.startswith(prefix):
            prepared = ((images - mean) / std).astype("float32")
    # Xception's first convolutions have no padding: the image has what they cut off.
    prepared = np.pad(prepared, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    random_weights(network, rng, prepared)
    backbone = create(name)
    model = backbone.as_model()
    backbone.copy_network(network, model)
    found = model(images)
    outputs = {
        f"level{level}": _before_level(network, name, level)
        for level in (info.level for info in backbone.features)
    }
    expected = keras.Model(network.input, outputs)(prepared)
    assert list(found) == list(expected)
    for info in backbone.features:
        key = f"level{info.level}"
        shape = (1, size[0] // info.reduction, size[1] // info.reduction, info.channels)
        assert found[key].shape == shape and info.reduction == 2**info.level
        check_close(found[key], expected[key])


def _before_level(network, name, level):
    """The last map at a level: what the first layer after it reads, found by its size."""
    last = network.output
    if level == 5 and not name.startswith("efficientnetv2"):
        return last
    height = {level: -(-96 // 2**level) for level in range(1, 6)}[level]
    tapped = APPLICATIONS[name].taps[level - (2 if name.startswith("convnext") else 1)]
    if tapped.startswith("before "):
        layers = {layer.name: layer for layer in network._flatten_layers()}
        reader = tapped.removeprefix("before ")
        # A model inside the model is called on its input's stand-in; the one outside is meant.
        outer = reader.replace("layernorm", "block")
        tensor = layers[outer if outer in layers else reader].input
        if outer in layers:
            node = layers[outer]._inbound_nodes[-1]
            tensor = node.input_tensors[0]
    else:
        tensor = network.get_layer(tapped).output
    assert tensor.shape[1] == height
    return tensor


@pytest.mark.parametrize("name", NAMES)
def test_the_same_weights_at_every_output_stride(rng, name):
    """Subsampled features agree; gates, which average over maps of other sizes, held constant."""
    # Xception's shortcuts and pools are on the same pixels of maps of odd sizes only.
    size = (65, 97) if name == "xception" else (64, 96)
    images = rng.uniform(0, 255, (1, *size, 3)).astype("float32")
    features = {}
    weights = None
    for output_stride in (32, 8):
        backbone = create(name, output_stride=output_stride)
        assert [info.reduction for info in backbone.features] == [
            min(2**info.level, output_stride) for info in backbone.features
        ]
        model = backbone.as_model()
        if weights is None:
            random_weights(model, rng, images, gates=False)
            weights = {weight.path: np.array(weight) for weight in model.weights}
        assert {weight.path for weight in model.weights} == set(weights)
        for weight in model.weights:
            weight.assign(weights[weight.path])
        features[output_stride] = model(images)
        for info in backbone.features:
            shape = features[output_stride][f"level{info.level}"].shape
            assert shape[1:3] == tuple(-(-length // info.reduction) for length in size)
    for key, coarse in features[32].items():
        fine, coarse = np.array(features[8][key]), np.array(coarse)
        step = max(1, 2 ** int(key[-1]) // 8)
        errors = {
            np.abs(fine[:, down::step, right::step] - coarse).max()
            for down in range(step)
            for right in range(step)
            if fine[:, down::step, right::step].shape == coarse.shape
        }
        assert min(errors) < 2e-4 * np.abs(coarse).max(), (key, errors)
        if len(errors) > 1:
            assert max(errors) > 1e-2 * np.abs(coarse).max(), (key, errors)


def test_names_and_options():
    assert set(APPLICATIONS) < set(BACKBONES)
    options = ctx.models.model_options("ksac_mobilenet_v3_small")
    assert {"width", "minimalistic", "normalization", "momentum"} < set(options)
    small = create("mobilenet_v3_small", width=0.5, minimalistic=True)
    assert [info.channels for info in small.features] == [16, 8, 16, 24, 288]
    with pytest.raises(ValueError, match="`width` must be positive. Received: width=0"):
        create("mobilenet_v3_small", width=0)
    with pytest.raises(ValueError, match="must be one of .*output_stride=4"):
        create("densenet121", output_stride=4)


def write_published_layout(network, path):
    """A file as keras.applications publishes them: HDF5 of Keras 2, layer by layer in order."""
    with h5py.File(path, "w") as file:
        layers = [layer for layer in network.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.4.0"
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{number}:0" for number in range(len(layer.weights))]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = np.array(weight)


@pytest.mark.parametrize("name", marked(["convnext_tiny", "mobilenet_v3_small", "xception"]))
def test_weights_come_from_published_files(rng, tmp_path, caplog, name):
    """With models inside models, grouped kernels and layers that Keras has numbered."""
    network = theirs(name, (96, 96))
    images = rng.uniform(0, 255, (1, 96, 96, 3)).astype("float32")
    random_weights(network, rng, images)
    path = tmp_path / "notop.h5"
    write_published_layout(network, path)
    model = ctx.models.build(
        f"fcn_{name}", 3, output_stride=32, filters=8, weights=f"keras-applications:{path}"
    )
    count = sum(len(layer.weights) for layer in model.layers if layer.name.startswith("backbone_"))
    assert f"{count} weights from keras.applications.{APPLICATIONS[name].make}, " in caplog.text
    expected = create(name).as_model()
    create(name).copy_network(network, expected)
    for weight in expected.weights:
        layer, _, key = weight.path.partition("/")
        (ours,) = [one for one in model.get_layer(layer).weights if one.path.endswith(f"/{key}")]
        np.testing.assert_array_equal(ours, weight)


def test_files_that_do_not_fit(tmp_path):
    backbone = create("mobilenet_v3_small")
    model = backbone.as_model()
    with pytest.raises(ValueError, match="names a file that does not exist: .*missing.h5"):
        backbone.load_file(model, tmp_path / "missing.h5")
    write_published_layout(theirs("mobilenet_v3_large", (96, 96)), tmp_path / "large.h5")
    with pytest.raises(ValueError, match="large.h5' cannot be loaded into .*MobileNetV3Small.*top"):
        backbone.load_file(model, tmp_path / "large.h5")


def test_imagenet_is_fetched_once_and_checked(tmp_path, monkeypatch, caplog):
    """Through Keras' own download, which a file on this machine stands in for."""
    network = theirs("mobilenet_v3_small", (96, 96))
    published = tmp_path / "published.h5"
    write_published_layout(network, published)
    fetched = []

    def urlretrieve(origin, target, progress):
        fetched.append(origin)
        if len(fetched) == 1:
            raise urllib.error.URLError("no route to host")
        shutil.copy(published, target)

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", urlretrieve)
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))
    backbone = create("mobilenet_v3_small")
    model = backbone.as_model()
    failed = "'imagenet' cannot be loaded"
    with pytest.raises(
        ValueError, match=f"{failed}.*https://.*no route.*'keras-applications:FILE'"
    ):
        backbone.load_imagenet(model)
    with pytest.raises(ValueError, match=f"{failed}.*corrupted"):
        backbone.load_imagenet(model)
    digest = hashlib.md5(published.read_bytes()).hexdigest()
    hashes = sys.modules["keras.src.applications.mobilenet_v3"].WEIGHTS_HASHES
    monkeypatch.setitem(hashes, "small_224_1.0_float", ("", digest))
    whole = ctx.models.build("fcn_mobilenet_v3_small", 3, filters=8, weights="imagenet")
    # What the second call fetched is right by now.
    assert len(fetched) == 2 and fetched[-1].endswith("_no_top_v2.h5")
    assert "weights from keras.applications.MobileNetV3Small, imagenet" in caplog.text
    np.testing.assert_array_equal(
        whole.get_layer("backbone_conv_1").kernel, network.get_layer("conv_1").kernel
    )
    with pytest.raises(ValueError, match=f"{failed}.*alpha"):
        create("mobilenet_v3_small", width=0.6).load_imagenet(model)
