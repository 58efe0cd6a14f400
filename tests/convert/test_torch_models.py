"""Whole models of mmsegmentation, PyTorch-Encoding and torchvision, head included.

Their definitions are written down in NumPy. Two stand on the dilated ResNet-50 that they are all
published with, the others, to save time, on an undilated ResNet-18, with atrous rates to match; the
heads are narrow where their definition leaves it free.
"""

import numpy as np
import pytest

import keras_ctxseg as ctx
from tests.convert.agreement import SIZES, check_agreement, images_of
from tests.convert.torch_files import write_legacy_pth, write_pth
from tests.convert.torch_networks import (
    Net,
    Weights,
    encode,
    interpolate,
    normalized,
    resnet,
    resnet_weights,
)

CLASSES = 5
DILATED = {"dilations": (1, 1, 2, 4), "strides": (1, 2, 1, 1)}
V1C, DEEP = (32, 32, 64), (64, 64, 128)
RATES = (1, 2, 3)


class _Peer:
    """A peer's network: weights under its names, and its forward pass to scores."""

    def __init__(self, rng, prefix, stem, names="torchvision", depth=18, **options):
        self.weights, self.prefix, self.depth = Weights(rng), prefix, depth
        option = {"7x7": "7x7", V1C: "v1c", DEEP: "deep"}[stem]
        self.options = {"stem": option, "output_stride": 8 if depth == 50 else 32, **options}
        self.channels = [count * (4 if depth == 50 else 1) for count in (64, 128, 256, 512)]
        resnet_weights(self.weights, depth, stem, prefix, names)

    def features(self, images):
        dilated = DILATED if self.depth == 50 else {}
        return resnet(Net(self.weights), normalized(images), self.depth, self.prefix, **dilated)


class _OpenMMLab(_Peer):
    def __init__(self, rng, depth=18, **options):
        super().__init__(rng, "backbone.", V1C, "openmmlab", depth, **options)

    def module(self, name, given, out, size=1):
        self.weights.conv_norm(f"{name}.conv", f"{name}.bn", given, out, size)

    def separable(self, name, given, out):
        weights, depth = self.weights, f"{name}.depthwise_conv"
        weights.conv_norm(f"{depth}.conv", f"{depth}.bn", given, given, 3, groups=given)
        self.module(f"{name}.pointwise_conv", given, out)

    def run(self, x, name, *arguments):
        return Net(self.weights).block(x, f"{name}.conv", f"{name}.bn", *arguments)

    def run_separable(self, x, name, rate=1):
        x = self.run(x, f"{name}.depthwise_conv", 1, rate, rate)
        return self.run(x, f"{name}.pointwise_conv")


class _EncNet(_OpenMMLab):
    def __init__(self, rng, lateral=False, depth=18):
        super().__init__(
            rng, depth, filters=16, auxiliary_filters=8, num_codewords=4, lateral=lateral
        )
        self.lateral, weights = lateral, self.weights
        _, c2, c3, c4 = self.channels
        self.module("decode_head.bottleneck", c4, 16, 3)
        if lateral:
            self.module("decode_head.lateral_convs.0", c2, 16)
            self.module("decode_head.lateral_convs.1", c3, 16)
            self.module("decode_head.fusion", 48, 16, 3)
        self.module("decode_head.enc_module.encoding_project", 16, 16)
        weights.encoding("decode_head.enc_module.encoding.0", 4, 16)
        weights.norm("decode_head.enc_module.encoding.1", 4)
        weights.linear("decode_head.enc_module.fc.0", 16, 16)
        weights.linear("decode_head.se_layer", 16, CLASSES)
        weights.conv("decode_head.conv_seg", 16, CLASSES, bias=True)
        self.module("auxiliary_head.convs.0", c3, 8, 3)
        weights.conv("auxiliary_head.conv_seg", 8, CLASSES, bias=True)

    def __call__(self, images):
        net, (_, c2, c3, c4) = Net(self.weights), self.features(images)
        x = self.run(c4, "decode_head.bottleneck", 1, 1)
        if self.lateral:
            laterals = [self.run(c2, "decode_head.lateral_convs.0")]
            laterals.append(self.run(c3, "decode_head.lateral_convs.1"))
            x = self.run(np.concatenate([x, *laterals], -1), "decode_head.fusion", 1, 1)
        name = "decode_head.enc_module"
        codes = encode(
            self.run(x, f"{name}.encoding_project"),
            self.weights[f"{name}.encoding.0.codewords"],
            self.weights[f"{name}.encoding.0.scale"],
        )
        codes = np.maximum(net.norm(codes.transpose(0, 2, 1), f"{name}.encoding.1"), 0)
        encoded = codes.mean(-1)
        gate = 1 / (1 + np.exp(-net.linear(encoded, f"{name}.fc.0")))
        x = np.maximum(x + x * gate[:, None, None], 0)
        auxiliary = self.run(c3, "auxiliary_head.convs.0", 1, 1)
        return {
            "logits": net.conv(x, "decode_head.conv_seg"),
            "presence_logits": net.linear(encoded, "decode_head.se_layer"),
            "aux_logits": net.conv(auxiliary, "auxiliary_head.conv_seg"),
        }


class _FCN(_OpenMMLab):
    def __init__(self, rng):
        super().__init__(rng, filters=16, convs=2, concat_input=True)
        self.module("decode_head.convs.0", 512, 16, 3)
        self.module("decode_head.convs.1", 16, 16, 3)
        self.module("decode_head.conv_cat", 528, 16, 3)
        self.weights.conv("decode_head.conv_seg", 16, CLASSES, bias=True)

    def __call__(self, images):
        c4 = self.features(images)[-1]
        x = self.run(self.run(c4, "decode_head.convs.0", 1, 1), "decode_head.convs.1", 1, 1)
        x = self.run(np.concatenate([c4, x], -1), "decode_head.conv_cat", 1, 1)
        return {"logits": Net(self.weights).conv(x, "decode_head.conv_seg")}


class _DeepLab(_OpenMMLab):
    def __init__(self, rng, plus=False):
        super().__init__(rng, filters=16, rates=RATES, projection_size=3)
        self.plus = plus
        self.module("decode_head.image_pool.1", 512, 16)
        self.module("decode_head.aspp_modules.0", 512, 16)
        for branch in (1, 2, 3):
            name = f"decode_head.aspp_modules.{branch}"
            if plus:
                self.separable(name, 512, 16)
            else:
                self.module(name, 512, 16, 3)
        self.module("decode_head.bottleneck", 80, 16, 3)
        if plus:
            self.options |= {"separable_pyramid": True, "separable_decoder": True}
            self.module("decode_head.c1_bottleneck", 64, 48)
            self.separable("decode_head.sep_bottleneck.0", 64, 16)
            self.separable("decode_head.sep_bottleneck.1", 16, 16)
        self.weights.conv("decode_head.conv_seg", 16, CLASSES, bias=True)
        self.module("auxiliary_head.convs.0", 256, 8, 3)

    def __call__(self, images):
        c1, _, _, x = self.features(images)
        pooled = self.run(x.mean((1, 2), keepdims=True), "decode_head.image_pool.1")
        branches = [np.broadcast_to(pooled, (*x.shape[:3], 16))]
        branches.append(self.run(x, "decode_head.aspp_modules.0"))
        for branch, rate in enumerate(RATES, start=1):
            name = f"decode_head.aspp_modules.{branch}"
            if self.plus:
                branches.append(self.run_separable(x, name, rate))
            else:
                branches.append(self.run(x, name, 1, rate, rate))
        x = self.run(np.concatenate(branches, -1), "decode_head.bottleneck", 1, 1)
        if self.plus:
            fine = self.run(c1, "decode_head.c1_bottleneck")
            x = np.concatenate([interpolate(x, *fine.shape[1:3]), fine], -1)
            x = self.run_separable(x, "decode_head.sep_bottleneck.0")
            x = self.run_separable(x, "decode_head.sep_bottleneck.1")
        return {"logits": Net(self.weights).conv(x, "decode_head.conv_seg")}


class _DeepLabPlus(_DeepLab):
    def __init__(self, rng):
        super().__init__(rng, plus=True)


class _AuthorsEncNet(_Peer):
    def __init__(self, rng):
        super().__init__(rng, "pretrained.", DEEP, depth=50, lateral=True)
        weights = self.weights
        weights.conv_norm("head.conv5.0", "head.conv5.1", 2048, 512, 3)
        weights.conv_norm("head.connect.0.0", "head.connect.0.1", 512, 512)
        weights.conv_norm("head.connect.1.0", "head.connect.1.1", 1024, 512)
        weights.conv_norm("head.fusion.0", "head.fusion.1", 1536, 512, 3)
        name = "head.encmodule"
        weights.conv_norm(f"{name}.encoding.0", f"{name}.encoding.1", 512, 512)
        weights.encoding(f"{name}.encoding.3", 32, 512)
        weights.norm(f"{name}.encoding.4", 32)
        weights.linear(f"{name}.fc.0", 512, 512)
        weights.linear(f"{name}.selayer", 512, CLASSES)
        weights.conv("head.conv6.1", 512, CLASSES, bias=True)
        weights.conv_norm("auxlayer.conv5.0", "auxlayer.conv5.1", 1024, 256, 3)
        weights.conv("auxlayer.conv5.4", 256, CLASSES, bias=True)
        # The ImageNet classifier stays in the backbone there.
        weights.linear("pretrained.fc", 2048, 10)

    def __call__(self, images):
        net, (_, c2, c3, c4) = Net(self.weights), self.features(images)
        x = net.block(c4, "head.conv5.0", "head.conv5.1", 1, 1)
        laterals = [
            net.block(c, f"head.connect.{index}.0", f"head.connect.{index}.1")
            for index, c in enumerate((c2, c3))
        ]
        x = np.concatenate([x, *laterals], -1)
        x = net.block(x, "head.fusion.0", "head.fusion.1", 1, 1)
        name = "head.encmodule"
        codes = encode(
            net.block(x, f"{name}.encoding.0", f"{name}.encoding.1"),
            self.weights[f"{name}.encoding.3.codewords"],
            self.weights[f"{name}.encoding.3.scale"],
        )
        codes = np.maximum(net.norm(codes.transpose(0, 2, 1), f"{name}.encoding.4"), 0)
        encoded = codes.mean(-1)
        gate = 1 / (1 + np.exp(-net.linear(encoded, f"{name}.fc.0")))
        x = np.maximum(x + x * gate[:, None, None], 0)
        auxiliary = net.block(c3, "auxlayer.conv5.0", "auxlayer.conv5.1", 1, 1)
        return {
            "logits": net.conv(x, "head.conv6.1"),
            "presence_logits": net.linear(encoded, f"{name}.selayer"),
            "aux_logits": net.conv(auxiliary, "auxlayer.conv5.4"),
        }


class _AuthorsFCN(_Peer):
    def __init__(self, rng):
        super().__init__(rng, "pretrained.", DEEP, filters=128)
        self.weights.conv_norm("head.conv5.0", "head.conv5.1", 512, 128, 3)
        self.weights.conv("head.conv5.4", 128, CLASSES, bias=True)

    def __call__(self, images):
        net = Net(self.weights)
        x = net.block(self.features(images)[-1], "head.conv5.0", "head.conv5.1", 1, 1)
        return {"logits": net.conv(x, "head.conv5.4")}


class _PyramidThenConv(_Peer):
    """torchvision's and PyTorch-Encoding's DeepLabv3, which differ in their names."""

    def __init__(self, rng, prefix, stem, branches, pooling, project, conv, classifier):
        super().__init__(rng, prefix, stem, rates=RATES, head_conv=True, filters=64)
        self.branches, self.pooling, self.project = branches, pooling, project
        self.conv, self.classifier, weights = conv, classifier, self.weights
        for branch in range(4):
            name = branches.format(branch)
            size = 1 if branch == 0 else 3
            weights.conv_norm(f"{name}.0", f"{name}.1", 512, 64, size)
        weights.conv_norm(f"{pooling}.1", f"{pooling}.2", 512, 64)
        weights.conv_norm(f"{project}.0", f"{project}.1", 320, 64)
        weights.conv_norm(conv[0], conv[1], 64, 64, 3)
        weights.conv(classifier, 64, CLASSES, bias=True)

    def __call__(self, images):
        net, x = Net(self.weights), self.features(images)[-1]
        branches = []
        for branch, rate in enumerate((0, *RATES)):
            name = self.branches.format(branch)
            branches.append(net.block(x, f"{name}.0", f"{name}.1", 1, rate, rate or 1))
        pooled = net.block(x.mean((1, 2), keepdims=True), f"{self.pooling}.1", f"{self.pooling}.2")
        branches.append(np.broadcast_to(pooled, branches[0].shape))
        x = np.concatenate(branches, -1)
        x = net.block(x, f"{self.project}.0", f"{self.project}.1")
        x = net.block(x, *self.conv, 1, 1)
        return {"logits": net.conv(x, self.classifier)}


def _torchvision_deeplab(rng):
    convs, block = "classifier.0.convs", ("classifier.1", "classifier.2")
    return _PyramidThenConv(
        rng, "backbone.", "7x7", convs + ".{}", f"{convs}.4", "classifier.0.project", block,
        "classifier.4",
    )  # fmt: skip


def _authors_deeplab(rng):
    block = ("head.block.0", "head.block.1")
    return _PyramidThenConv(
        rng, "pretrained.", DEEP, "head.aspp.b{}", "head.aspp.b4.gap", "head.aspp.project", block,
        "head.block.4",
    )  # fmt: skip


PEERS = {
    "mmsegmentation encnet": (_EncNet, write_pth),
    "mmsegmentation encnet lateral": (lambda rng: _EncNet(rng, True, 50), write_legacy_pth),
    "mmsegmentation fcn": (_FCN, write_pth),
    "mmsegmentation deeplabv3": (_DeepLab, write_pth),
    "mmsegmentation deeplabv3plus": (_DeepLabPlus, write_pth),
    "pytorch-encoding encnet": (_AuthorsEncNet, write_legacy_pth),
    "pytorch-encoding fcn": (_AuthorsFCN, write_legacy_pth),
    "pytorch-encoding deeplabv3": (_authors_deeplab, write_pth),
    "torchvision deeplabv3": (_torchvision_deeplab, write_pth),
}


@pytest.mark.parametrize("which", PEERS)
def test_whole_models(rng, tmp_path, which):
    make, write = PEERS[which]
    source, family, *_ = which.split()
    peer = make(rng)
    path = tmp_path / "checkpoint.pth"
    # As the training codes save: the weights in a dict beside other things.
    write(path, {"meta": {"epoch": 3, "CLASSES": ("a", "b")}, "state_dict": dict(peer.weights)})
    model = ctx.models.build(f"{family}_resnet{peer.depth}", CLASSES, **peer.options)
    report = ctx.convert.convert(model, path, source)
    assert len(report.mapped) == len(model.weights)
    assert not report.left and not report.is_partial and not report.notes
    for size in SIZES:
        images = images_of(rng, size)
        found = model(images)
        for name, scores in peer(images).items():
            if scores.ndim == 4:
                # PyTorch-Encoding alone goes on with aligned corners, which we never do.
                scores = interpolate(scores, *size)
            check_agreement(found[name], scores)
