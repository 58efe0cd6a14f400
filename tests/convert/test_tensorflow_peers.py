"""tf-models' own networks and DeepLab's TensorFlow 1 ones, saved, converted and compared."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg import backbones, convert
from keras_ctxseg.backbones.block_tables import SCALES
from keras_ctxseg.models import build
from tests.convert.agreement import SIZES, check_agreement, images_of


def _randomize(model, rng):
    for variable in model.variables:
        shape = variable.shape
        if "kernel" in variable.name:
            scale = 1 / np.sqrt(np.prod(shape[:-1]))
            variable.assign(scale * rng.standard_normal(shape))
        elif "gamma" in variable.name:
            variable.assign(rng.uniform(0.8, 1.4, shape))
        elif "variance" in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, shape))
        else:
            variable.assign(rng.uniform(-0.3, 0.3, shape))


def _normalized(images):
    backbone = backbones.create("resnet50")
    return ((images - np.array(backbone.mean)) / np.array(backbone.std)).astype("float32")


def test_tf_models_dilated_resnet50(rng, tmp_path):
    import tf_keras
    from official.vision.modeling.backbones.resnet_deeplab import DilatedResNet

    specs = tf_keras.layers.InputSpec(shape=[None, None, None, 3])
    peer = DilatedResNet(
        50, output_stride=16, input_specs=specs, stem_type="v1", activation="swish"
    )
    _randomize(peer, rng)
    # As its training saves: the backbone beside the model that holds it.
    tf.train.Checkpoint(backbone=peer, model=tf.Module()).save(str(tmp_path / "ckpt"))
    options = {"stem": "deep", "activation": "swish", "half_dilation": False}
    backbone = backbones.create("resnet50", output_stride=16, padding="same", **options)
    model = backbone.as_model()
    report = convert.convert(model, tmp_path, "tf-models")
    assert len(report.mapped) == len(model.weights) and not report.left and not report.notes
    for size in SIZES:
        images = images_of(rng, size)
        expected = peer(_normalized(images), training=False)
        check_agreement(model(images)["level5"], expected["4"])
        check_agreement(model(images)["level2"], expected["2"])


@pytest.mark.parametrize(
    "sizes",
    [[(128, 256)], pytest.param([(128, 256), (256, 128)], marks=pytest.mark.whole)],
    ids=len,
)
def test_tf_models_spinenet49(rng, tmp_path, sizes):
    import tf_keras
    from official.vision.modeling.backbones.spinenet import SCALING_MAP, SpineNet

    def make(size):
        # Of one size, whose sides are multiples of 128.
        specs = tf_keras.layers.InputSpec(shape=[None, *size, 3])
        return SpineNet(specs, min_level=3, max_level=7, norm_epsilon=1e-3, **SCALING_MAP["49S"])

    # So that its layers' numbers do not begin at 0.
    tf_keras.layers.Conv2D(1, 1), tf_keras.layers.BatchNormalization()
    peer = make(sizes[0])
    _randomize(peer, rng)
    tf.train.Checkpoint(backbone=peer).save(str(tmp_path / "ckpt"))
    index = next(tmp_path.glob("*.index"))
    model = backbones.SpineNet("s49s", 3, 7).as_model()
    report = convert.convert(model, index, "tf-models")
    assert len(report.mapped) == len(model.weights) and not report.left
    for size in sizes:
        twin = peer
        if size != sizes[0]:
            twin = make(size)
            twin.set_weights(peer.get_weights())
        images = images_of(rng, size)
        expected = twin(_normalized(images), training=False)
        found = model(images)
        for level in range(3, 8):
            check_agreement(found[f"level{level}"], expected[str(level)])
    assert SCALES["s49s"].endpoint_filters == found["level3"].shape[-1]
    if len(sizes) == 1:
        return
    with pytest.raises(convert.ConversionError, match="another; build it with blocks='parent'"):
        convert.convert(build("spinenet_seg_s49s", 3, filters=8), index, "tf-models")
    # The part of it that a segmentation model at stride 8 needs.
    part = build("spinenet_seg_s49s", 3, blocks="parent", filters=8)
    report = convert.convert(part, index, "tf-models")
    assert not report.notes and report.left
    assert not [name for name in report.missing if name.startswith("backbone_")]
    ours = {weight.path: weight for weight in model.weights}
    for weight in part.weights:
        if weight.path.startswith("backbone_"):
            np.testing.assert_array_equal(weight, ours[weight.path])


class _Slim:
    """DeepLab's networks by slim's names, from their published definition, in float32 TensorFlow.

    `conv` and `depthwise` make a variable the first time that they are called with a name.
    """

    def __init__(self, rng, scope):
        self.rng, self.scope, self.weights = rng, scope, {}

    def _variable(self, name, make):
        return self.weights.setdefault(f"{self.scope}/{name}", make())

    def _kernel(self, name, shape, inputs):
        return self._variable(
            name, lambda: (self.rng.standard_normal(shape) / np.sqrt(inputs)).astype("float32")
        )

    def norm(self, x, name):
        size, uniform = x.shape[-1], self.rng.uniform
        get = lambda word, low, high: self._variable(  # noqa: E731
            f"{name}/BatchNorm/{word}", lambda: uniform(low, high, size).astype("float32")
        )
        mean, variance = get("moving_mean", -0.3, 0.3), get("moving_variance", 0.5, 1.5)
        gamma, beta = get("gamma", 0.8, 1.4), get("beta", -0.3, 0.3)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)

    def conv(self, x, name, filters, size=1, strides=1, padding="fixed"):
        shape = (size, size, x.shape[-1], filters)
        kernel = self._kernel(f"{name}/weights", shape, np.prod(shape[:3]))
        x, padding = _pad(x, size, strides, padding)
        return self.norm(tf.nn.conv2d(x, kernel, strides, padding), name)

    def depthwise(self, x, name, strides=1, padding="fixed"):
        shape = (3, 3, x.shape[-1], 1)
        kernel = self._kernel(f"{name}/depthwise_weights", shape, 9)
        x, padding = _pad(x, 3, strides, padding)
        steps = [1, strides, strides, 1]
        return self.norm(tf.nn.depthwise_conv2d(x, kernel, steps, padding), name)

    def save(self, prefix):
        names = sorted(self.weights)
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(self.weights[name]) for name in names],
        )


def _pad(x, size, strides, padding):
    """slim's `conv2d_same`: as many zeros on both sides, whatever the image's size."""
    if padding == "SAME" or strides == 1:
        return x, "SAME"
    total = size - 1
    pad = [total // 2, total - total // 2]
    return tf.pad(x, [[0, 0], pad, pad, [0, 0]]), "VALID"


def _xception(net, images):
    x = tf.constant(2 / 255 * images - 1)
    x = tf.nn.relu(net.conv(x, "entry_flow/conv1_1", 32, 3, 2))
    x = tf.nn.relu(net.conv(x, "entry_flow/conv1_2", 64, 3))
    units = [
        ("entry_flow/block1/unit_1", (128,) * 3, "conv", 2),
        ("entry_flow/block2/unit_1", (256,) * 3, "conv", 2),
        ("entry_flow/block3/unit_1", (728,) * 3, "conv", 2),
        *((f"middle_flow/block1/unit_{unit}", (728,) * 3, "sum", 1) for unit in range(1, 17)),
        ("exit_flow/block1/unit_1", (728, 1024, 1024), "conv", 2),
        ("exit_flow/block2/unit_1", (1536, 1536, 2048), "none", 1),
    ]
    for unit, filters, skip, strides in units:
        name, y = f"{unit}/xception_module", x
        act = tf.nn.relu if skip == "none" else tf.identity
        for index, count in enumerate(filters, start=1):
            y = y if skip == "none" else tf.nn.relu(y)
            conv = f"{name}/separable_conv{index}"
            y = act(net.depthwise(y, f"{conv}_depthwise", strides if index == 3 else 1))
            y = act(net.conv(y, f"{conv}_pointwise", count))
        if skip == "conv":
            x = net.conv(x, f"{name}/shortcut", filters[-1], strides=strides)
        x = y if skip == "none" else x + y
    return x


def _mobilenet(net, images):
    x = tf.constant(2 / 255 * images - 1)
    x = tf.nn.relu6(net.conv(x, "Conv", 32, 3, 2, "SAME"))
    number = 0
    for expansion, filters, repeats, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
        (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for repeat in range(repeats):
            name, y = f"expanded_conv_{number}" if number else "expanded_conv", x
            step = stride if repeat == 0 else 1
            if expansion > 1:
                y = tf.nn.relu6(net.conv(y, f"{name}/expand", expansion * x.shape[-1]))
            y = tf.nn.relu6(net.depthwise(y, f"{name}/depthwise", step, "SAME"))
            y = net.conv(y, f"{name}/project", filters)
            x = x + y if x.shape == y.shape else y
            number += 1
    return x


@pytest.mark.parametrize(
    ("scope", "forward", "name", "options"),
    [
        ("xception_65", _xception, "xception65", {}),
        ("MobilenetV2", _mobilenet, "mobilenet_v2", {"padding": "same"}),
    ],
)
def test_deeplab_tf1(rng, tmp_path, scope, forward, name, options):
    net = _Slim(rng, scope)
    images = [images_of(rng, size) for size in SIZES]
    expected = [forward(net, one) for one in images]
    net.weights["logits/semantic/weights"] = np.zeros((1, 1, 256, 21), "float32")
    net.weights["global_step"] = np.array(30000)
    weight = next(iter(net.weights))
    net.weights[f"{weight}/Momentum"] = net.weights[weight]
    net.save(tmp_path / "model.ckpt")
    model = backbones.create(name, **options).as_model()
    report = convert.convert(model, tmp_path / "model.ckpt", "deeplab-tf1")
    assert len(report.mapped) == len(model.weights)
    assert not report.left and not report.notes
    assert report.unused == (("logits/semantic/weights", "head on other features"),)
    for one, reference in zip(images, expected, strict=True):
        check_agreement(model(one)["level5"], reference)
