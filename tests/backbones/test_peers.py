"""Backbones against other packages' networks with the same weights."""

import keras
import numpy as np
import pytest

from keras_ctxseg import backbones
from tests.layers.layer_checks import randomize


@pytest.mark.parametrize(
    ("stem", "theirs", "multi_grid"), [("7x7", "v0", None), ("deep", "v1", (1, 2, 4))]
)
def test_resnet50_equals_tf_models(rng, stem, theirs, multi_grid):
    import tf_keras
    from official.vision.modeling.backbones.resnet_deeplab import DilatedResNet
    from official.vision.modeling.layers.nn_blocks import BottleneckBlock

    # tf-models pads "same", which is symmetric, as ours always is, where sizes are 32 k + 1.
    size = (65, 97)
    peer = DilatedResNet(
        50,
        output_stride=8,
        input_specs=tf_keras.layers.InputSpec(shape=[None, *size, 3]),
        stem_type=theirs,
        multigrid=multi_grid,
        norm_epsilon=1e-5,
    )
    ours = backbones.create(
        "resnet50", output_stride=8, stem=stem, multi_grid=multi_grid, half_dilation=False
    ).as_model()
    layers, block = _conv_layers(ours), 0
    stems = iter([name for name in layers if "stem" in name])
    names = [name for name in layers if name.endswith("conv1") and "block" in name]
    current = None
    for layer in peer.layers:
        if isinstance(layer, tf_keras.layers.Conv2D):
            current = layers[next(stems)]
            current.conv.set_weights(layer.get_weights())
        elif isinstance(layer, tf_keras.layers.BatchNormalization):
            current.norm.set_weights(_random_norm(layer, rng))
        elif isinstance(layer, BottleneckBlock):
            prefix = names[block].removesuffix("conv1")
            block += 1
            for suffix, number in (("shortcut", 0), ("conv1", 1), ("conv2", 2), ("conv3", 3)):
                target = layers.get(prefix + suffix)
                conv = layer._shortcut if number == 0 and target else None
                if number:
                    conv = getattr(layer, f"_conv{number}")
                if target is not None:
                    target.conv.set_weights(conv.get_weights())
                    target.norm.set_weights(_random_norm(getattr(layer, f"_norm{number}"), rng))
    assert block == 16
    images = rng.uniform(0, 255, (1, *size, 3)).astype("float32")
    backbone = backbones.create("resnet50")
    normalized = (images - np.array(backbone.mean)) / np.array(backbone.std)
    expected = peer(normalized.astype("float32"), training=False)
    found = ours(images)
    for level, ours_level in (("2", "level2"), ("3", "level5")):
        reference = expected[level].numpy()
        np.testing.assert_allclose(
            found[ours_level], reference, rtol=0, atol=1e-5 * np.abs(reference).max()
        )


def _conv_layers(model):
    return {layer.name: layer for layer in model.layers if hasattr(layer, "conv")}


def _random_norm(layer, rng):
    values = [
        rng.uniform(0.5, 1.5, weight.shape)
        if "gamma" in weight.name or "variance" in weight.name
        else rng.uniform(-0.3, 0.3, weight.shape)
        for weight in layer.weights
    ]
    layer.set_weights(values)
    return values


def test_mobilenet_v2_equals_keras_applications(rng):
    # keras.applications pads strided convolutions as we do where sizes are 32 k + 1.
    size = (65, 97)
    peer = keras.applications.MobileNetV2(
        input_shape=(*size, 3), include_top=False, weights=None, alpha=0.5
    )
    ours = backbones.create("mobilenet_v2", width=0.5).as_model()
    randomize(peer, rng)
    # The peer ends with a 1×1 convolution to 1280 channels that serves classification only.
    ours.set_weights(_in_our_order(peer, ours))
    images = rng.uniform(0, 255, (1, *size, 3)).astype("float32")
    last = keras.Model(peer.input, peer.get_layer("block_16_project_BN").output)
    expected = np.array(last(images / 127.5 - 1.0))
    np.testing.assert_allclose(
        ours(images)["level5"], expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


def _in_our_order(peer, ours):
    """The peer's weights, convolution by convolution; both build them in the paper's order."""
    convs = [layer for layer in peer.layers if isinstance(layer, keras.layers.Conv2D | _Depthwise)]
    norms = [layer for layer in peer.layers if isinstance(layer, keras.layers.BatchNormalization)]
    pairs = list(zip(convs, norms, strict=True))[:-1]
    layers = list(_conv_layers(ours).values())
    assert len(layers) == len(pairs)
    for layer, (conv, norm) in zip(layers, pairs, strict=True):
        layer.conv.set_weights(conv.get_weights())
        layer.norm.set_weights(norm.get_weights())
    return ours.get_weights()


_Depthwise = keras.layers.DepthwiseConv2D


def test_xception65_has_the_published_size():
    """timm lists its aligned Xception-65 with 39.92 M parameters, classifier included."""
    model = backbones.create("xception65").as_model()
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable + 2048 * 1000 + 1000 == pytest.approx(39.92e6, rel=1e-3)
