"""Backbones by name: listed without Keras, registered from outside, combined with every family."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg import backbones
from keras_ctxseg.backbones import MobileNetV2, from_keras


@pytest.fixture(autouse=True)
def as_before():
    """Takes what a test registers out again."""
    known = dict(backbones.BACKBONES._entries)
    yield
    backbones.BACKBONES._entries.clear()
    backbones.BACKBONES._entries.update(known)


class Narrow(MobileNetV2):
    """A backbone of somebody else's."""

    def __init__(self, output_stride: int = 32, *, width: float = 0.35, number: int = 1):
        self.number = number
        super().__init__(output_stride, width=width)


def test_names_cost_no_keras():
    """Listing and registering by a string; what the string names is imported when it is made."""
    script = """
import sys
sys.argv[0] = "ctxseg"
import keras_ctxseg as ctx
ctx.backbones.register_backbone("mine", "my_package.networks:make")
names = ctx.backbones.list_backbones()
assert {"mine", "resnet50", "convnext_tiny"} <= set(names) and names == sorted(names), names
assert ctx.backbones.list_backbones("efficientnetv2_b*") == [
    f"efficientnetv2_b{number}" for number in range(4)
]
assert not {"keras", "tensorflow", "my_package"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_registered_backbone_goes_with_every_family(rng):
    target = f"{__name__}:Narrow"
    assert backbones.register_backbone("narrow", target) == target
    names = ctx.models.list_models("*_narrow")
    plain = [name.replace("_resnet18", "_narrow") for name in ctx.models.list_models("*_resnet18")]
    assert names == sorted(plain)
    assert set(ctx.models.model_options("fcn_narrow")) >= {"width", "number", "filters"}
    model = ctx.models.build("fcn_narrow", 3, filters=8, width=0.5, number=2)
    assert model.name == "fcn_narrow"
    like = ctx.models.build("fcn_mobilenet_v2", 3, filters=8, width=0.5)
    assert [w.shape for w in model.weights] == [w.shape for w in like.weights]
    with pytest.raises(ValueError, match="option `number`: expected an integer"):
        ctx.models.build("fcn_narrow", 3, number="two")
    with pytest.raises(ValueError, match="Did you mean 'fcn_narrow'"):
        ctx.models.build("fcn_narow", 3)


def test_a_keras_network_and_a_decorator():
    images = keras.Input((None, None, 3))
    x = images
    for level in range(1, 6):
        x = keras.layers.Conv2D(4, 3, 2, "same", activation="relu", name=f"level{level}")(x)
    network = keras.Model(images, x, name="five")
    taps = [f"level{level}" for level in range(1, 6)]
    backbones.register_backbone("five", functools.partial(from_keras, network, taps))
    model = ctx.models.build("deeplabv3plus_five", 3, filters=8, momentum=0.8)
    kernel = model.get_layer("backbone_level3").kernel
    np.testing.assert_array_equal(kernel, network.get_layer("level3").kernel)

    @backbones.register_backbone("wide")
    def wide(output_stride, *, width: float = 2.0):
        return MobileNetV2(output_stride, width=width)

    assert backbones.create("wide", output_stride=16, width=0.35).output_stride == 16
    # The same one again, as when a notebook's cell runs twice, and another one.
    backbones.register_backbone("wide", wide)
    with pytest.raises(ValueError, match="There is a backbone 'wide' already"):
        backbones.register_backbone("wide", Narrow)
    backbones.register_backbone("wide", Narrow, replace=True)
    assert isinstance(backbones.create("wide", output_stride=8), Narrow)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: backbones.register_backbone("Mine", Narrow), "`name` must be lower-case.*'Mine'"),
        (lambda: backbones.register_backbone("resnet50", Narrow), "a backbone 'resnet50' already"),
        (lambda: backbones.register_backbone("mine", "no target"), "'package.module:attribute'"),
        (lambda: backbones.register_backbone("mine", lambda width: None), "no `output_stride`"),
        (
            lambda: backbones.register_backbone("mine", lambda output_stride, width: None),
            "each option by keyword only",
        ),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert "mine" not in backbones.BACKBONES


def test_a_target_that_is_not_there():
    backbones.register_backbone("mine", "keras_ctxseg.backbones:no_such_function")
    assert "ksac_mine" in ctx.models.list_models("ksac_*")
    with pytest.raises(ValueError, match="'keras_ctxseg.backbones:no_such_function' cannot be"):
        ctx.models.build("ksac_mine", 3)
