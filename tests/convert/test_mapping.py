"""What is refused, what is left alone, and what the report says of it; the command."""

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.cli import main
from keras_ctxseg.convert import SOURCES, ConversionError, map_weights
from keras_ctxseg.convert.layer_weights import Brick, fold
from keras_ctxseg.convert.tables import could_be, fill, match
from tests.convert.torch_files import write_pth
from tests.convert.torch_networks import Weights, resnet_weights


@pytest.fixture(scope="module")
def checkpoint():
    """mmsegmentation's FCN on ResNet-18, narrow."""
    weights = Weights(np.random.default_rng(5))
    resnet_weights(weights, 18, (32, 32, 64), "backbone.", "openmmlab")
    weights.conv_norm("decode_head.convs.0.conv", "decode_head.convs.0.bn", 512, 8, 3)
    weights.conv("decode_head.conv_seg", 8, 4, bias=True)
    return dict(weights)


def _fcn(num_classes=4, **options):
    options = {"stem": "v1c", "filters": 8, "output_stride": 32, **options}
    return ctx.models.build("fcn_resnet18", num_classes, **options)


def _refused(model, arrays, message, source="mmsegmentation"):
    before = [np.array(weight) for weight in model.weights]
    with pytest.raises(ConversionError, match=message):
        map_weights(model, arrays, SOURCES[source], "w.pth")
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_another_number_of_classes(checkpoint):
    model = _fcn(num_classes=7)
    initial = np.array(model.get_layer("logits_classifier").kernel)
    report = map_weights(model, checkpoint, SOURCES["mmsegmentation"])
    why = "the checkpoint has 4 classes, the model 7"
    assert report.reinitialized == (("logits_classifier", why),)
    assert f"initial values kept in logits_classifier: {why}" in report.summary()
    assert report.is_partial and not report.missing and not report.left
    assert len(report.mapped) == len(model.weights) - 2
    np.testing.assert_array_equal(model.get_layer("logits_classifier").kernel, initial)
    head = model.get_layer("head_conv").conv.kernel
    expected = checkpoint["decode_head.convs.0.conv.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(head, expected)


def test_a_backbone_alone(checkpoint):
    """Either because it is asked for, or because the checkpoint has nothing else."""
    backbone = {name: array for name, array in checkpoint.items() if "decode" not in name}
    model = _fcn()
    first = map_weights(model, checkpoint, SOURCES["mmsegmentation"], backbone_only=True)
    second = map_weights(model, backbone, SOURCES["mmsegmentation"])
    assert first.mapped == second.mapped
    assert first.missing == second.missing == ("head_conv", "logits_classifier")
    assert "decode_head.conv_seg.bias" in first.left and not second.left
    text = first.text()
    assert "backbone_stem_conv1/bn/gamma  <-  stem.1.weight" in text
    assert "missing: initial values kept (2)" in text and "left in the checkpoint (7)" in text


def test_other_architectures_are_refused(checkpoint):
    model = _fcn()
    lacking = {name: a for name, a in checkpoint.items() if "layer3.1.conv2" not in name}
    _refused(model, lacking, "another architecture.*nothing for 1 layers.*stage4_block2_conv2")
    larger = {**checkpoint, "backbone.layer3.2.conv1.weight": np.zeros((1, 1, 3, 3), "float32")}
    _refused(model, larger, "no place for 1 arrays, such as layer3.2.conv1.weight")
    name = "backbone.layer2.0.conv1.weight"
    wide = {**checkpoint, name: np.zeros((128, 65, 3, 3), "float32")}
    _refused(model, wide, r"stage3_block1_conv1/conv/kernel is \(3, 3, 64, 128\), layer2.*65, 128")
    text = {**checkpoint, name: np.array(["a"])}
    _refused(model, text, "expected numbers")
    _refused(model, {"x": np.zeros(3)}, "another architecture.*nothing for 22 layers")
    _refused(model, checkpoint, "another architecture", source="torchvision")


def test_half_a_head_is_refused(checkpoint):
    """It would compute something else than the checkpoint's model."""
    _refused(_fcn(convs=2), checkpoint, "another head.*has nothing for head_conv2")
    module = {"decode_head.conv_cat.conv.weight": np.zeros((8, 520, 3, 3), "float32")}
    _refused(_fcn(), {**checkpoint, **module}, "model has nothing for decode_head.conv_cat")
    dilated = _fcn(output_stride=8)
    _refused(dilated, checkpoint, "dilates only the first convolution of a basic block")
    report = map_weights(dilated, checkpoint, SOURCES["mmsegmentation"], backbone_only=True)
    assert len(report.missing) == 2


def test_patterns():
    pattern = "backbone_stage{s}_block{b}_conv{n}"
    numbers = match(pattern, "backbone_stage3_block12_conv2")
    assert numbers == {"s": 3, "b": 12, "n": 2}
    assert fill("layer{s-1}.{b-1}.conv{n}+{b+2}", numbers) == "layer2.11.conv2+14"
    assert match(pattern, "backbone_stage3_block12_shortcut") is None
    assert could_be("layer{s-1}.{b-1}.w", "layer2.11.w")
    assert not could_be("layer{s-1}.{b-1}.w", "layerx.11.w")


@pytest.mark.parametrize("theirs", [1e-5, 1e-3, 1e-1])
def test_bias_and_epsilon_are_folded_exactly(rng, theirs):
    ours = 1e-3
    values = {name: rng.uniform(0.1, 1, 50) for name in ("gamma", "beta", "moving_mean", "bias")}
    values["moving_variance"] = 10 ** rng.uniform(-6, 1, 50)
    x = rng.standard_normal((9, 50))
    root = np.sqrt(values["moving_variance"] + theirs)
    expected = (x + values["bias"] - values["moving_mean"]) / root
    expected = expected * values["gamma"] + values["beta"]
    gamma, enough = values["gamma"].copy(), values["moving_variance"] + theirs >= ours
    one = keras.Variable(np.zeros(1))
    fold(values, Brick("a", {"kernel": one}, {"gamma": one}, ours), theirs)
    assert "bias" not in values and (values["moving_variance"] >= 0).all()
    found = (x - values["moving_mean"]) / np.sqrt(values["moving_variance"] + ours)
    found = found * values["gamma"] + values["beta"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    # Training goes on with their gamma wherever the variance alone makes up for the epsilon.
    np.testing.assert_allclose(values["gamma"][enough], gamma[enough], rtol=1e-6)


def test_the_command(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pth(tmp_path / "fcn.pth", {"state_dict": checkpoint})
    words = ["convert", "--from", "mmsegmentation", "fcn.pth", "--model", "fcn_resnet18"]
    options = ["stem=v1c", "filters=8", "output_stride=32"]
    assert main([*words, *options]) == 0
    said = capsys.readouterr().out
    assert "logits_classifier/kernel  <-  decode_head.conv_seg.weight" in said
    assert "fcn_resnet18.weights.h5: weights of build('fcn_resnet18', 4, stem='v1c'" in said
    loaded = _fcn(weights="fcn_resnet18.weights.h5")
    direct = _fcn(weights=f"mmsegmentation:{tmp_path / 'fcn.pth'}")
    for one, other in zip(loaded.weights, direct.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for changed, message in (
        ([*words, *options, "filters=9"], "does not fit: head_conv/conv/kernel"),
        ([*words, "stem=v1c", "output_stride=32", "filter=8"], "Did you mean 'filters'?"),
        ([*words, "stem"], "expected key=value"),
        ([*words[:2], "mmsegmentaton", *words[3:]], "Did you mean 'mmsegmentation'?"),
        ([*words, *options, "--output", "w.h5"], "ending in .weights.h5"),
        ([*words, *options, "--backbone-only"], "`--num-classes`.*give the model's"),
    ):
        assert main(changed) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message.split(".*")[0] in error
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fcn.pth",
        "fcn_resnet18.weights.h5",
    ]
