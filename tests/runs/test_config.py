"""Recipes: inheritance, overrides, types, and every error by its message."""

import dataclasses
import re
from typing import get_args, get_type_hints

import pytest

import keras_ctxseg as ctx
from keras_ctxseg.data.augmentation_config import MosaicConfig, RandAugmentConfig
from keras_ctxseg.runs.config_schema import dotted_keys
from keras_ctxseg.search.config import SearchConfig
from keras_ctxseg.training import (
    AugmentationConfig,
    ConfigError,
    RunConfig,
    load_config,
    save_config,
)

MINIMAL = """
name: trial
model: {name: ksac_mobilenet_v2}
data: {name: context_scenes}
"""


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="recipe.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


def test_defaults_and_values(write):
    config = load_config(
        write(
            MINIMAL
            + """
augmentation:
  crop_size: [128, 160]
training:
  learning_rate: 1e-2
  weight_decay: 5E-5
  ema_momentum: null
  class_weights: [1, 2.5]
"""
        )
    )
    assert config.augmentation.crop_size == (128, 160)
    assert config.training.learning_rate == 0.01
    assert config.training.weight_decay == 5e-5
    assert config.training.ema_momentum is None
    assert config.training.class_weights == (1.0, 2.5)
    assert config.training.momentum == 0.9
    assert config.data.validation_split == "val"
    assert str(config.directory) == "runs/trial"


def test_the_resolved_file_gives_the_same_configuration(write, tmp_path):
    overrides = ["model.options={rates: [6, 12], stem: deep}", "training.clip_norm=1e-3"]
    config = load_config(write(MINIMAL), overrides)
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert config.model.options == {"rates": [6, 12], "stem": "deep"}


def test_bases_merge_section_by_section(write):
    write("training: {epochs: 7, batch_size: 3}\nmodel: {options: {a: 1, b: 2}}", "bases/deep.yaml")
    write("base: deep.yaml\ntraining: {batch_size: 4}", "bases/first.yaml")
    write("training: {seed: 5, batch_size: 6}", "bases/second.yaml")
    path = write(
        "base: [bases/first.yaml, bases/second.yaml]"
        + MINIMAL.replace("{name: ksac_mobilenet_v2}", "{name: m, options: {b: 3}}")
    )
    config = load_config(path, ["training.seed=9"])
    assert (config.training.epochs, config.training.batch_size, config.training.seed) == (7, 6, 9)
    assert config.model.options == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.learning_rate=3e-4", "learning_rate", 3e-4),
        ("training.learning_rate=1", "learning_rate", 1.0),
        ("training.ema_momentum=0.99", "ema_momentum", 0.99),
        ("training.steps=100", "steps", 100),
        ("training.steps=null", "steps", None),
        ("training.epochs=null", "epochs", 30),
        ("training.optimizer=adamw", "optimizer", "adamw"),
        ("training.jit_compile=true", "jit_compile", True),
    ],
)
def test_overrides_are_yaml(write, override, key, value):
    result = getattr(load_config(write(MINIMAL), [override]).training, key)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.learning_rat=1",
            "unknown key `training.learning_rat`. Did you mean 'training.le",
        ),
        ("trainnig.epochs=1", "unknown key `trainnig`. Did you mean 'training'?"),
        ("learning_rate=1", "unknown key `learning_rate`. Did you mean 'training.learning_rate'?"),
        (
            "data.zzz=1",
            "unknown key `data.zzz`. Expected one of data.name, data.options, data.train_",
        ),
        ("training.epochs=ten", "`training.epochs`: expected an integer. Received: 'ten' (str)."),
        ("training.epochs=1.5", "`training.epochs`: expected an integer. Received: 1.5 (float)."),
        ("training.epochs=true", "`training.epochs`: expected an integer. Received: True (bool)."),
        ("training.clip_norm=a", "`training.clip_norm`: expected a number or null. Received: 'a'"),
        (
            "training.optimizer=sdg",
            "expected one of 'sgd', 'adamw' or a dotted name. Received: 'sdg' (str). Did you mea",
        ),
        ("augmentation.flip=1", "`augmentation.flip`: expected true or false. Received: 1 (int)."),
        ("augmentation.crop_size=65", "expected a list of 2, each entry an integer. Received: 65"),
        (
            "augmentation.crop_size=[65]",
            "expected a list of 2, each entry an integer. Received: [6",
        ),
        (
            "augmentation.mosaic.probabilty=1",
            "unknown key `augmentation.mosaic.probabilty`. Did you mean 'augmentation.mosaic.prob",
        ),
        ("augmentation.copy_paste=1", "`augmentation.copy_paste`: expected a mapping of keys"),
        ("model.options=3", "`model.options`: expected a mapping of keys. Received: 3 (int)."),
        ("model=3", "`model`: expected a mapping of keys. Received: 3"),
        ("training.epochs", "expected key=value. Received: 'training.epochs'"),
        ("training.learning_rate=.inf", "`training.learning_rate`: expected a number. Received: i"),
        ("model.options={1: 2}", "`model.options`: expected a mapping of keys. Received: {1: 2}"),
        ("MODEL.NAME=1", "unknown key `MODEL`. Did you mean 'model'? Received: MODEL={'NAME': 1}"),
        ("model.options" + ".a" * 50 + "=1", "expected key=value. Received: 'model.options.a"),
        ("name=!!int x", "`name`: expected a value of the type !!int. Received: 'x'"),
        ("name='a b\t'", "`name`: expected a folder name without '/' and control"),
        ("training.epochs=[", "'training.epochs=[': not valid YAML"),
    ],
)
def test_override_errors(write, override, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        load_config(write(MINIMAL), [override])
    assert str(error.value).startswith("command line: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MINIMAL + "training: {epochz: 1}",
            "unknown key `training.epochz`. Did you mean 'training.epoc",
        ),
        (MINIMAL + "training: 1", "`training`: expected a mapping of keys. Received: 1"),
        (
            MINIMAL + "training: {batch_size: 0}",
            "`training.batch_size`: expected at least 1. Received: 0",
        ),
        (MINIMAL + "training: {momentum: 1}", "`training.momentum`: expected 0 <= value < 1. Rec"),
        (
            MINIMAL + "training: {learning_rate: 0}",
            "`training.learning_rate`: expected a number above",
        ),
        (
            MINIMAL + "training: {clip_norm: .inf}",
            "`training.clip_norm`: expected a number or null. Received: inf",
        ),
        (
            MINIMAL + "training: {class_weights: [0, 0.0]}",
            "`training.class_weights`: expected finite weights of at least 0, not all of them 0",
        ),
        (MINIMAL + "training: {seed: -1}", "`training.seed`: expected 0 to 4294967295. Received"),
        (
            MINIMAL + "training: {early_stopping: {patience: 0}}",
            "`training.early_stopping.patience`: expected at least 1. Received: 0",
        ),
        (
            MINIMAL + "training: {early_stopping: {patient: 3}}",
            "unknown key `training.early_stopping.patient`. Did you mean 'training.early_stopping.",
        ),
        (
            MINIMAL + "training: {top_k_fraction: 0}",
            "`training.top_k_fraction`: expected 0.0001 to 1",
        ),
        (
            MINIMAL + "augmentation: {crop_size: [32, 64]}",
            "`augmentation.crop_size`: expected height and width",
        ),
        (
            MINIMAL + "augmentation: {scale_range: [2, 1]}",
            "`augmentation.scale_range`: expected two factors",
        ),
        (
            MINIMAL + "augmentation: {copy_paste: {probability: 1}}",
            "`augmentation.copy_paste.classes`: expected the names of the classes to paste. R",
        ),
        (
            MINIMAL + "augmentation: {rand_augment: {operations: [rotat]}}",
            "Received: 'rotat'. Did you mean 'rotate'?",
        ),
        (
            MINIMAL + "export: {input_size: [8, 64]}",
            "`export.input_size`: expected height and width of at least 33",
        ),
        (MINIMAL + "name: again", "key 'name' is given twice"),
        (MINIMAL.replace("name: trial", "name: a/b"), "`name`: expected a folder name without '/'"),
        ("name: trial\nmodel: {name: m}", "`data.name` is missing. Expected a string."),
        ("name: trial\ndata: {name: m}\nmodel: {}", "`model.name` is missing. Expected a string."),
        ("[1, 2]", "expected a mapping of keys. Received: [1, 2]"),
        ("name: [", "not valid YAML"),
        ("base: 3", "`base`: expected a path or a list of paths. Received: 3"),
        ("base: none.yaml", "`base`: there is no file"),
        ("base: recipe.yaml", "`base` runs in a circle"),
    ],
)
def test_file_errors(write, text, message):
    path = write(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        load_config(path)
    assert str(path) in str(error.value)


def test_an_error_in_a_base_names_the_base(write):
    base = write("training: {epochz: 1}", "base.yaml")
    with pytest.raises(ConfigError, match=re.escape(f"{base}:1: unknown key `training.epochz`")):
        load_config(write("base: base.yaml" + MINIMAL))


def test_null_unsets_what_is_inherited(write):
    write(
        """
model: {options: {filters: 8, rates: [1, 2], width: 0.5}}
training: {epochs: 7, clip_norm: 1.0, lr_multipliers: {a: 2, b: 3}}
augmentation: {flip: false, mosaic: {probability: 0.5}}
evaluation: {scales: [1.0, 2.0]}
""",
        "base.yaml",
    )
    middle = """
base: base.yaml
model: {options: {rates: null}}
training: {epochs: null, lr_multipliers: null}
augmentation: null
"""
    write(middle, "middle.yaml")
    path = write(
        "base: middle.yaml"
        + MINIMAL.replace("{name: ksac", "{options: {width: null}, name: ksac")
        + "training: {lr_multipliers: {c: 4}}\naugmentation: {rotation: 3}"
    )
    config = load_config(path)
    assert config.model.options == {"filters": 8}
    assert (config.training.epochs, config.training.clip_norm) == (30, 1.0)
    assert config.training.lr_multipliers == {"c": 4}
    assert config.augmentation == AugmentationConfig(rotation=3.0)
    assert config.evaluation.scales == (1.0, 2.0)
    config = load_config(path, ["model.options.filters=null", "evaluation=null"])
    assert config.model.options == {}
    assert config.evaluation.scales is None
    # Of several bases, a later one unsets what an earlier one says.
    write("training: {epochs: null}", "unset.yaml")
    both = write("base: [base.yaml, unset.yaml]" + MINIMAL, "both.yaml")
    assert load_config(both).training.epochs == 30
    with pytest.raises(ConfigError, match="`name` is missing. Expected a string"):
        load_config(path, ["name=null"])


@pytest.mark.parametrize("schema", [RunConfig, SearchConfig])
def test_null_is_the_default_of_every_key_that_takes_it(schema):
    """So that `null` may always mean: as if the key were not given."""

    def check(schema):
        kinds = get_type_hints(schema)
        for spec in dataclasses.fields(schema):
            if dataclasses.is_dataclass(kinds[spec.name]):
                check(kinds[spec.name])
            elif type(None) in get_args(kinds[spec.name]):
                assert spec.default is None, spec.name

    check(schema)


def test_a_null_inside_a_list_is_a_value(write):
    config = load_config(write(MINIMAL), ["model.options.input_shape=[null, null, 3]"])
    assert config.model.options["input_shape"] == [None, None, 3]


def test_a_circle_of_bases_is_shown(write):
    write("base: recipe.yaml", "other.yaml")
    with pytest.raises(
        ConfigError, match=r"circle: .*recipe\.yaml -> .*other\.yaml -> .*recipe\.yaml"
    ):
        load_config(write("base: other.yaml" + MINIMAL))


def test_the_number_of_bases_is_limited(write):
    for index in range(1, 23):
        write(f"base: [{index - 1}.yaml, {index - 1}.yaml]", f"{index}.yaml")
    write("training: {epochs: 1}", "0.yaml")
    with pytest.raises(ConfigError, match="`base`: expected at most 64 files in all"):
        load_config(write("base: 22.yaml" + MINIMAL))


def test_a_base_that_is_no_file(write, tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name in ("loop.yaml", "a" * 300, ".", "bin\\0.yaml"):
        path = write(f'base: "{name}"' + MINIMAL)
        with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}:1: `base`: "):
            load_config(path)
    with pytest.raises(ConfigError, match="cannot read the configuration .*loop.yaml"):
        load_config(tmp_path / "loop.yaml")


def test_limits_name_where_the_value_was_set(write):
    base = write("training:\n  epochs: 3\n  batch_size: 0", "base.yaml")
    path = write("base: base.yaml" + MINIMAL)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(base))}:3: `training.batch_size`: exp"):
        load_config(path)
    with pytest.raises(
        ConfigError, match="^command line: `training.batch_size`: expected at least"
    ):
        load_config(path, ["training.batch_size=-1"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"cannot read the configuration .*none\.yaml: .*No such file"
    ):
        load_config(tmp_path / "none.yaml")


def test_the_augmentation_is_the_pipelines(write):
    assert AugmentationConfig is ctx.data.AugmentationConfig
    text = MINIMAL + "augmentation: {rotation: 5, mosaic: {probability: 0.5}}"
    config = load_config(write(text), ["augmentation.rand_augment.count=2"])
    assert config.augmentation == ctx.data.AugmentationConfig(
        rotation=5.0,
        mosaic=MosaicConfig(probability=0.5),
        rand_augment=RandAugmentConfig(count=2),
    )


def test_all_recipes_of_the_repository_load():
    from pathlib import Path

    recipes = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
    assert recipes
    for recipe in recipes:
        # A base is half a recipe; what a search or the bake-off runs is read by their own tests.
        if recipe.stem.startswith("base") or recipe.parent.name in ("search", "bakeoff"):
            continue
        assert isinstance(load_config(recipe), RunConfig)


def test_keys_are_listed():
    assert {"name", "model.name", "training.head_lr_multiplier", "export.litert"} <= set(
        dotted_keys()
    )
