"""What stands on a backbone relies on."""

import keras
import pytest

from keras_ctxseg import backbones


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "xception65"])
def test_stage_by_stage_is_the_whole(name):
    backbone = backbones.create(name, output_stride=16)
    images = keras.Input((None, None, 3))
    x = backbone.stem(backbone.normalize(images))
    names = ["level1"]
    channels = [x.shape[-1]]
    for level, stage in backbone.stages.items():
        x = stage(x)
        names.append(f"level{level}")
        channels.append(x.shape[-1])
    assert channels == [info.channels for info in backbone.features]
    assert [info.level for info in backbone.features] == [1, 2, 3, 4, 5]
    assert [info.reduction for info in backbone.features] == [2, 4, 8, 16, 16]
    whole = backbone.as_model()
    assert list(whole.output) == names
    staged = keras.Model(images, x)
    assert [w.path for w in staged.weights] == [w.path for w in whole.weights]
    # Learning-rate multipliers find the backbone by this prefix.
    assert all(weight.path.startswith("backbone_") for weight in whole.weights)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: backbones.create("resnet5"), "`name` must be one of .*Did you mean 'resnet50'?"),
        (lambda: backbones.create("resnet50", output_stride=4), "`output_stride` must be one of"),
        (lambda: backbones.create("resnet50", stem="v2"), "`stem` must be one of .*Received"),
        (lambda: backbones.create("resnet50", multi_grid=(1, 2)), "one factor for each of the 3"),
        (lambda: backbones.create("mobilenet_v2", width=0), "`width` must be positive"),
        (lambda: backbones.ResNet(42), "`depth` must be one of .* Received: depth=42"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
