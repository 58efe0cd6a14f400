"""From the `evaluation` section of a configuration to how predictions are made."""

import argparse
from dataclasses import replace
from typing import get_args

import pytest

from keras_ctxseg.cli._protocol import add_protocol_arguments, protocol_overrides
from keras_ctxseg.evaluation import Protocol, named_protocol
from keras_ctxseg.export import FORMS
from keras_ctxseg.inference.protocol import SETTINGS
from keras_ctxseg.runs.assembly import evaluation_protocol
from keras_ctxseg.runs.config import ConfigError, EvaluationConfig, LitertFormName
from keras_ctxseg.runs.config_file import load_config

RECIPE = """
name: trial
model: {name: fcn_mobilenet_v2}
data: {name: context_scenes}
augmentation: {crop_size: [90, 120]}
"""


@pytest.fixture
def protocol_of(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    return lambda *overrides: evaluation_protocol(
        load_config(recipe, [f"evaluation.{override}" for override in overrides])
    )


def test_the_default_is_the_plain_prediction(protocol_of):
    assert protocol_of() == named_protocol("whole_image")
    assert protocol_of().is_plain


def test_protocols_take_the_training_crop(protocol_of):
    assert protocol_of("protocol=encnet") == named_protocol("encnet", (90, 120))
    assert protocol_of("protocol=encnet").stride == (60, 80)


def test_keys_change_a_protocol(protocol_of):
    changed = protocol_of("protocol=encnet", "flip=false", "window=[64, 96]", "average=logits")
    assert changed == Protocol(
        named_protocol("encnet", 90).scales,
        average="logits",
        window=(64, 96),
        stride=(43, 64),
        pad_to_window=True,
        name="encnet, changed",
    )
    assert protocol_of("scales=[0.5, 2]").scales == (0.5, 2.0)


def test_the_command_line_sets_every_field(protocol_of):
    parser = argparse.ArgumentParser()
    add_protocol_arguments(parser)
    assert protocol_overrides(parser.parse_args([])) == []
    words = "--protocol deeplabv3 --scales 0.5,2 --no-flip --average logits --window 64x96"
    words += " --stride 32 --blend triangle --pad-to-window"
    overrides = protocol_overrides(parser.parse_args(words.split()))
    assert {override.split("=")[0] for override in overrides} == {
        f"evaluation.{name}" for name in ("protocol", *SETTINGS)
    }
    found = protocol_of(*(override.removeprefix("evaluation.") for override in overrides))
    assert found == Protocol(
        scales=(0.5, 2.0),
        flip=False,
        average="logits",
        window=(64, 96),
        stride=(32, 32),
        blend="triangle",
        pad_to_window=True,
        name="deeplabv3, changed",
    )
    assert all(
        getattr(found, name) != getattr(Protocol(), name) for name in set(SETTINGS) - {"flip"}
    )
    (override,) = protocol_overrides(parser.parse_args(["--no-pad-to-window"]))
    encnet = protocol_of("protocol=encnet", override.removeprefix("evaluation."))
    assert encnet == replace(
        named_protocol("encnet", (90, 120)), pad_to_window=False, name="encnet, changed"
    )


def test_recipes_list_the_same_choices_as_their_owners():
    names = list(EvaluationConfig.__dataclass_fields__)
    assert tuple(names[names.index("protocol") + 1 :]) == SETTINGS
    assert get_args(LitertFormName) == tuple(FORMS)


def test_errors_name_the_key(protocol_of):
    for overrides, message in (
        (["scales=[0]"], "`evaluation.scales`: expected one factor or more"),
        (["window=[64]"], "`evaluation.window`: expected a list of 2"),
        (["window=[0, 5]"], "`evaluation.window`: expected height and width"),
        (["stride=[5, 5]"], "evaluation: `stride`: expected None where there is no `window`"),
        (["window=[9, 9]", "stride=[10, 9]"], r"`stride`: expected at most the window, \(9, 9\)"),
        (["protocol=encent"], "`evaluation.protocol`.*Did you mean 'encnet'"),
    ):
        with pytest.raises(ConfigError, match=message):
            protocol_of(*overrides)
