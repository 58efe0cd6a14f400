"""A family from outside the package is a family like every other."""

import re

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.models.registry import FAMILIES


@pytest.fixture(autouse=True)
def as_before():
    """Takes what a test registers out again."""
    known = dict(FAMILIES)
    yield
    FAMILIES.clear()
    FAMILIES.update(known)


def plain(images, backbone, num_classes, *, level: int = 5, filters: int = 16, name="plain"):
    """Classifies one level's features."""
    x = keras.layers.Conv2D(filters, 1, name=f"{name}_reduce")(backbone(images)[level])
    return {"logits": ctx.heads.classify(x, num_classes, images)}


def test_a_registered_family_is_built_listed_and_suggested(rng):
    assert ctx.models.register_family("plain", plain, output_stride=32, note="a trial") is plain
    assert "plain_resnet18" in ctx.models.list_models("plain_*")
    assert len(ctx.models.list_models("plain_*")) == len(ctx.models.list_models("fcn_*"))
    assert ctx.models.model_note("plain_mobilenet_v2") == "a trial"
    model = ctx.models.build("plain_mobilenet_v2", 3, width=0.35, level=3, filters=8)
    assert model.get_layer("plain_reduce").filters == 8
    images = rng.uniform(0, 255, (1, 40, 48, 3)).astype("float32")
    assert model(images)["logits"].shape == (1, 40, 48, 3)
    # What it says of its output stride holds: the deepest feature map of 64 pixels has 2.
    deep = ctx.models.build("plain_mobilenet_v2", 3, (64, 64, 3), width=0.35)
    assert deep.get_layer("plain_reduce").input.shape[1:3] == (2, 2)
    with pytest.raises(ValueError, match="Did you mean 'plain_resnet18'"):
        ctx.models.build("plian_resnet18", 3)
    with pytest.raises(ValueError, match="no option 'levl'; .*'width'.*Did you mean 'level'"):
        ctx.models.build("plain_mobilenet_v2", 3, levl=3)
    with pytest.raises(ValueError, match="option `filters`: expected an integer. Received: 'many'"):
        ctx.models.build("plain_mobilenet_v2", 3, filters="many")


def test_as_a_decorator_with_backbones_of_its_own():
    made = []

    def narrow(output_stride, *, width: float = 0.35):
        made.append(width)
        return ctx.backbones.MobileNetV2(output_stride, width=width)

    @ctx.models.register_family(
        "own", backbones={"narrow": narrow}, backbone_options={"width": 0.5}
    )
    def own(images, backbone, num_classes):
        return plain(images, backbone, num_classes)

    assert ctx.models.list_models("own_*") == ["own_narrow"]
    ctx.models.build("own_narrow", 3)
    ctx.models.build("own_narrow", 3, width=0.75)
    assert made == [0.5, 0.75]
    assert list(map(str, ctx.models.model_options("own_narrow").values())) == [
        "width: a number (default 0.35)"
    ]


def test_a_module_that_runs_again_replaces_its_own_family_only():
    def family():
        def again(images, backbone, num_classes): ...

        return again

    ctx.models.register_family("again", family())
    second = ctx.models.register_family("again", family())
    assert FAMILIES["again"].outputs is second
    with pytest.raises(ValueError, match="a family 'ksac' already, keras_ctxseg.models.deeplab"):
        ctx.models.register_family("ksac", plain)


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("My-Family", plain, "`name` must be lower-case letters, digits and underscores. Received"),
        ("f", lambda images, backbone: {}, "expected the parameters (images, backbone, num_class"),
        ("f", lambda images, backbone, num_classes, rate=1: {}, "Received: rate=1"),
        ("f", lambda images, backbone, num_classes, **rest: {}, "Received: **rest"),
    ],
)
def test_registration_errors(name, function, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ctx.models.register_family(name, function)
    assert name not in FAMILIES


def test_a_name_that_would_be_two_models_is_refused():
    with pytest.raises(ValueError, match="there is a model 'rsp_mobilenet_v2' already"):
        ctx.models.register_family("rsp_mobilenet", plain, backbones={"v2": ctx.backbones.ResNet})


@pytest.mark.parametrize(
    ("outputs", "received"),
    [
        (lambda x: x, "Received: <KerasTensor"),
        (lambda x: {"labels": x}, "Received: {'labels'"),
        (lambda x: {"logits": x}, "Received: ((None, 33, 33, 3), 'float32')"),
        (lambda x: {"logits": keras.layers.Conv2D(4, 3)(x)}, "Received: ((None, 31, 31, 4), 'fl"),
        (lambda x: {"logits": keras.ops.cast(x, "int32")}, "'int32')"),
    ],
)
def test_a_family_that_breaks_its_contract_is_named(outputs, received):
    ctx.models.register_family("wrong", lambda images, backbone, num_classes: outputs(images))
    with pytest.raises(ValueError, match=re.escape(received)) as error:
        ctx.models.build("wrong_resnet18", 4, (33, 33, 3))
    assert "The family 'wrong' must return a dict with 'logits'" in str(error.value)
    assert "((None, 33, 33, 4), 'float32')" in str(error.value)


def test_every_own_option_has_a_type():
    """So that recipes and `ctxseg list models --options` can say what is expected."""
    for name in ctx.models.list_models():
        for option in ctx.models.model_options(name).values():
            assert ": " in str(option).partition(" (")[0], f"{name}: {option}"


def test_numpy_numbers_are_numbers():
    ctx.models.register_family("plain", plain)
    model = ctx.models.build("plain_mobilenet_v2", 3, width=np.float32(0.35), filters=np.int64(8))
    assert model.get_layer("plain_reduce").filters == 8
