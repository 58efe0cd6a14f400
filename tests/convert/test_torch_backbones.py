"""Backbones of torchvision, timm and OpenMMLab against their published definitions in NumPy."""

import numpy as np
import pytest

from keras_ctxseg import backbones, convert
from tests.convert.agreement import SIZES, check_agreement, images_of
from tests.convert.torch_files import write_legacy_pth, write_pth, write_safetensors
from tests.convert.torch_networks import Net, Weights, normalized, resnet, resnet_weights

WRITERS = {".pth": write_pth, ".legacy.pth": write_legacy_pth, ".safetensors": write_safetensors}


@pytest.mark.parametrize(
    ("source", "depth", "stem", "names", "suffix"),
    [
        ("torchvision", 18, "7x7", "torchvision", ".legacy.pth"),
        ("torchvision", 50, "7x7", "torchvision", ".pth"),
        ("timm", 50, (32, 32, 64), "torchvision", ".safetensors"),
        pytest.param(
            "timm", 50, (64, 64, 128), "torchvision", ".legacy.pth", marks=pytest.mark.whole
        ),
        ("mmsegmentation", 18, (32, 32, 64), "openmmlab", ".pth"),
    ],
)
def test_resnets(rng, tmp_path, source, depth, stem, names, suffix):
    weights = Weights(rng)
    resnet_weights(weights, depth, stem, names=names)
    weights.linear("fc", 512 * (4 if depth >= 50 else 1), 10)
    path = tmp_path / f"weights{suffix}"
    WRITERS[suffix](path, dict(weights))
    option = {"7x7": "7x7", (32, 32, 64): "v1c", (64, 64, 128): "deep"}[stem]
    model = backbones.create(f"resnet{depth}", stem=option).as_model()
    report = convert.convert(model, path, source)
    assert len(report.mapped) == len(model.weights)
    assert not report.left and not report.is_partial
    assert {why for _, why in report.unused} == {
        "counter of training steps",
        "classifier of ImageNet",
    }
    for size in SIZES:
        images = images_of(rng, size)
        expected = resnet(Net(weights), normalized(images), depth)
        found = model(images)
        for level, reference in zip((2, 3, 4, 5), expected, strict=True):
            check_agreement(found[f"level{level}"], reference)


def _mobilenet_blocks():
    """`(number, channels in, expansion, channels out, stride)` of MobileNetV2's features."""
    channels, number = 32, 1
    for expansion, out, repeats, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
        (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for repeat in range(repeats):
            yield number, channels, expansion, out, stride if repeat == 0 else 1
            channels, number = out, number + 1


def test_torchvision_mobilenet_v2(rng, tmp_path):
    weights = Weights(rng)
    weights.conv_norm("features.0.0", "features.0.1", 3, 32, 3)
    for number, given, expansion, out, _ in _mobilenet_blocks():
        name, inner, at = f"features.{number}.conv", given * expansion, 0
        if expansion > 1:
            weights.conv_norm(f"{name}.0.0", f"{name}.0.1", given, inner)
            at = 1
        weights.conv_norm(f"{name}.{at}.0", f"{name}.{at}.1", inner, inner, 3, groups=inner)
        weights.conv_norm(f"{name}.{at + 1}", f"{name}.{at + 2}", inner, out)
    weights.conv_norm("features.18.0", "features.18.1", 320, 1280)
    weights.linear("classifier.1", 1280, 10)

    def forward(images):
        net = Net(weights)
        relu6 = lambda x: np.clip(x, 0, 6)  # noqa: E731
        x = relu6(net.block(normalized(images), "features.0.0", "features.0.1", 2, 1, act=False))
        for number, given, expansion, out, stride in _mobilenet_blocks():
            name, at, y = f"features.{number}.conv", 0, x
            if expansion > 1:
                y, at = relu6(net.block(y, f"{name}.0.0", f"{name}.0.1", act=False)), 1
            y = relu6(net.block(y, f"{name}.{at}.0", f"{name}.{at}.1", stride, 1, act=False))
            y = net.block(y, f"{name}.{at + 1}", f"{name}.{at + 2}", act=False)
            x = x + y if stride == 1 and given == out else y
        return x

    write_pth(tmp_path / "mobilenet.pth", dict(weights))
    model = backbones.create("mobilenet_v2", normalization="imagenet").as_model()
    report = convert.convert(model, tmp_path / "mobilenet.pth", "torchvision")
    assert len(report.mapped) == len(model.weights) and not report.left
    for size in SIZES:
        images = images_of(rng, size)
        check_agreement(model(images)["level5"], forward(images))


_XCEPTION = [
    *((number, (channels,) * 3, 2) for number, channels in enumerate((128, 256, 728))),
    *((number, (728,) * 3, 1) for number in range(3, 19)),
    (19, (728, 1024, 1024), 2),
    (20, (1536, 1536, 2048), 1),
]


def test_timm_xception65(rng, tmp_path):
    weights = Weights(rng)
    weights.conv_norm("stem.0.conv", "stem.0.bn", 3, 32, 3)
    weights.conv_norm("stem.1.conv", "stem.1.bn", 32, 64, 3)
    given = 64
    for number, channels, _ in _XCEPTION:
        inner = given
        for index, out in enumerate(channels, start=1):
            name = f"blocks.{number}.stack.conv{index}"
            weights.conv_norm(f"{name}.conv_dw", f"{name}.bn_dw", inner, inner, 3, groups=inner)
            weights.conv_norm(f"{name}.conv_pw", f"{name}.bn_pw", inner, out)
            inner = out
        if number < 20 and given != inner:
            name = f"blocks.{number}.shortcut"
            weights.conv_norm(f"{name}.conv", f"{name}.bn", given, inner)
        given = inner
    weights.linear("head.fc", 2048, 10)

    def forward(images):
        net = Net(weights, epsilon=1e-3)
        x = net.block(images.astype("float64") / 127.5 - 1, "stem.0.conv", "stem.0.bn", 2, 1)
        x = net.block(x, "stem.1.conv", "stem.1.bn", 1, 1)
        for number, _, stride in _XCEPTION:
            y, last = x, number == 20
            for index in (1, 2, 3):
                name = f"blocks.{number}.stack.conv{index}"
                y = y if last else np.maximum(y, 0)
                step = stride if index == 3 else 1
                y = net.block(y, f"{name}.conv_dw", f"{name}.bn_dw", step, 1, act=last)
                y = net.block(y, f"{name}.conv_pw", f"{name}.bn_pw", act=last)
            name = f"blocks.{number}.shortcut"
            if f"{name}.conv.weight" in weights:
                x = net.block(x, f"{name}.conv", f"{name}.bn", stride, act=False)
            x = y if last else x + y
        return x

    write_safetensors(tmp_path / "xception.safetensors", dict(weights))
    model = backbones.create("xception65").as_model()
    report = convert.convert(model, tmp_path / "xception.safetensors", "timm")
    assert len(report.mapped) == len(model.weights) and not report.left
    for size in SIZES[1:]:  # NumPy takes long over so many layers.
        images = images_of(rng, size)
        check_agreement(model(images)["level5"], forward(images))
