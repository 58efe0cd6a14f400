"""Networks of KerasHub as backbones, where it is installed."""

import sys

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.backbones import create, from_keras
from tests.backbones.test_keras_applications import check_close, random_weights

keras_hub = pytest.importorskip("keras_hub")


def resnet(block_type, pre_activation=False):
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[8, 64],
        input_conv_kernel_sizes=[3, 3],
        stackwise_num_filters=[64, 16, 16, 16],
        stackwise_num_blocks=[2, 1, 2, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block_type,
        use_pre_activation=pre_activation,
    )


def efficientnet():
    return keras_hub.models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3, 5, 3, 5],
        stackwise_num_repeats=[1, 2, 2, 1, 1],
        stackwise_input_filters=[8, 8, 16, 16, 24],
        stackwise_output_filters=[8, 16, 16, 24, 24],
        stackwise_expansion_ratios=[1, 4, 4, 4, 4],
        stackwise_squeeze_and_excite_ratios=[0.25] * 5,
        stackwise_strides=[1, 2, 2, 2, 2],
        stackwise_block_types=["v1"] * 5,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        num_features=32,
    )


def csp(stage_type):
    return keras_hub.models.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=1,
        stem_padding="same",
        stackwise_depth=[1, 1, 2, 1, 1],
        stackwise_strides=[2, 2, 2, 2, 2],
        stackwise_num_filters=[8, 16, 16, 24, 32],
        bottle_ratio=[0.5],
        block_ratio=[1.0] if stage_type == "dark" else [0.5],
        expand_ratio=[1.0],
        block_type="dark_block",
        stage_type=stage_type,
    )


NETWORKS = {
    "resnet": lambda: resnet("basic_block"),
    "resnet_v2": lambda: resnet("bottleneck_block", pre_activation=True),
    "resnet_vd": lambda: resnet("bottleneck_block_vd"),
    "densenet": lambda: keras_hub.models.DenseNetBackbone([1, 2, 1, 1], growth_rate=8),
    "efficientnet": efficientnet,
    "darknet": lambda: csp("dark"),
    "cspdarknet": lambda: csp("csp"),
}


# The tests of keras.applications have the layers of the others.
HERE = ["resnet_vd", "cspdarknet"]


@pytest.mark.parametrize(
    "name",
    [name if name in HERE else pytest.param(name, marks=pytest.mark.whole) for name in NETWORKS],
)
def test_features_are_the_pyramid_of_the_network(rng, name):
    """At output stride 32; at 8, the same with the same weights on the pixels that they share."""
    network = NETWORKS[name]()
    images = rng.uniform(-1, 1, (1, 64, 96, 3)).astype("float32")
    random_weights(network, rng, images, gates=False)
    pyramid = list(network.pyramid_outputs.values())
    expected = [np.array(x) for x in keras.Model(network.input, pyramid)(images)]
    features = {
        output_stride: from_keras(network, output_stride=output_stride).as_model()(images)
        for output_stride in (32, 8)
    }
    assert list(features[32])[-1] == "level5" and len(features[32]) == len(expected)
    for theirs, (key, coarse) in zip(expected, features[32].items(), strict=True):
        check_close(coarse, theirs)
        fine, step = np.array(features[8][key]), max(1, 2 ** int(key[-1]) // 8)
        errors = [
            np.abs(fine[:, down::step, right::step] - theirs).max()
            for down in range(step)
            for right in range(step)
        ]
        assert min(errors) < 2e-4 * np.abs(theirs).max(), key
    for size in ((33, 47), (64, 40)):
        for key, found in from_keras(network).as_model()(np.zeros((1, *size, 3))).items():
            reduction = 2 ** int(key[-1])
            assert found.shape[1:3] == tuple(-(-length // reduction) for length in size)


def test_presets_from_a_folder(rng, tmp_path, caplog):
    network = resnet("basic_block_vd")
    images = rng.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    random_weights(network, rng, images / 255)
    folder = str(tmp_path / "preset")
    network.save_to_preset(folder)
    with pytest.raises(ValueError, match="`normalization` is needed: the preset .* no image conv"):
        create("keras_hub", preset=folder)
    scale, offset = [1 / 51, 1 / 255, 1 / 85], [0.1, 0.2, -0.3]
    keras_hub.layers.ImageConverter(scale=scale, offset=offset).save_to_preset(folder)
    model = ctx.models.build(
        "fcn_keras_hub", 3, preset=folder, output_stride=32, filters=8, weights="imagenet"
    )
    assert f"weights from KerasHub, {folder}" in caplog.text
    features = keras.Model(model.input, model.get_layer("head_conv").input)
    prepared = (images * scale + offset).astype("float32")
    check_close(features(images), network(prepared))
    with pytest.raises(ValueError, match="`preset`: KerasHub cannot load '.*nowhere'"):
        create("keras_hub", preset=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="'fcn_keras_hub' needs the option `preset`"):
        ctx.models.build("fcn_keras_hub", 3)


DEPTHS = [18, *(pytest.param(depth, marks=pytest.mark.whole) for depth in (34, 50, 101, 152, 200))]


@pytest.mark.parametrize("depth", DEPTHS)
def test_resnet_vd(rng, depth):
    """Parameters as the paper's ResNet-50-D (timm: 25.58 M with its classifier) and its kin."""
    published = {18: 11.71, 34: 21.82, 50: 25.58, 101: 44.57, 152: 60.21, 200: 64.69}  # timm, M
    backbone = create(f"resnet{depth}_vd", output_stride=16)
    assert [info.reduction for info in backbone.features] == [4, 8, 16, 16]
    model = backbone.as_model()
    width = backbone.features[-1].channels
    trainable = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert (trainable + width * 1000 + 1000) / 1e6 == pytest.approx(published[depth], abs=0.02)
    assert model.get_layer("normalize").mean == (123.675, 116.28, 103.53)


def test_without_keras_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ValueError, match="needs KerasHub: pip install 'keras_ctxseg\\[hub\\]'"):
        create("resnet50_vd")
