"""Recipes and overrides of any text."""

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_file import load_config, save_config
from keras_ctxseg.runs.config_schema import dotted_keys
from tests.fuzz.oracle import damaged, damages, json_values, result_or_error

RECIPE = """\
name: trial
model: {name: ksac_mobilenet_v2, options: &o {filters: 8, rates: [6, 12]}}
data: {name: folder, options: {path: data/photos}}
augmentation:
  crop_size: [65, 97]
  copy_paste: {probability: 0.5, classes: [car]}
training:
  learning_rate: 1e-2
  losses: [crossentropy, {name: my.Loss, weight: 0.5, arguments: *o}]
  lr_multipliers: {backbone: 0.1}
evaluation: {scales: [0.5, 1.0], window: [65, 65]}
"""
FRAGMENTS = (
    "!!int x", "!!bool x", "!!float x", "!!timestamp x", "!!set {a}", "!!binary ====", "&a [*a]",
    "*o", "<<: *o", "{[a]: 1}", "? [a]\n: 1", "2020-13-45", "1e400", ".nan", "-.inf", "0x", "0b2",
    "1:99:99", '"\\0"', '"\\ud800"', "\t", "- - - -", "[" * 50, "%YAML 9.9", "--- a\n--- b",
    "9" * 4400, "on", "~", "=", "!", "|", ">", "'", "base: recipe.yaml", "base: [a, a]", "imports:",
)  # fmt: skip
KEYS = [*dotted_keys(), "base", "model.options.x", "training.losses[0]", "", ".", "a.b", "NAME"]
names = st.sampled_from(KEYS)


@st.composite
def texts(draw):
    """A recipe with fragments put in anywhere, and its bytes damaged."""
    text = RECIPE
    for fragment in draw(st.lists(st.sampled_from(FRAGMENTS), max_size=3)):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(["", " ", "\n"])) + fragment + text[at:]
    content = text.encode()
    return damaged(content, draw(damages)) if draw(st.booleans()) else content


@st.composite
def trees(draw):
    """A recipe with values of any kind at keys that are there."""
    content = yaml.safe_load(RECIPE)
    for key in draw(st.lists(names, max_size=4)):
        section, parts = content, key.split(".")
        for part in parts[:-1]:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                break
        else:
            section[parts[-1]] = draw(json_values)
    return yaml.dump(content, allow_unicode=True).encode("utf-8", "surrogatepass")


def check(content: bytes, overrides=()):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_bytes(content)
        config = result_or_error(
            lambda path: load_config(path, overrides), path, ConfigError, "command line: "
        )
        if config is not None:
            assert isinstance(config, RunConfig)
            copy = Path(folder) / "copy.yaml"
            save_config(config, copy)
            assert load_config(copy) == config


@given(texts())
@example(b"name: [" + b"[" * 500)
@example(b"a: !!bool x")
@example(b"? [a]\n: 1")
@example(b"name: 2020-13-45")
@example(b"\xff\xfe")
@example(b'base: "a\\0b"')
@example(b"base: " + b"a" * 300)
@example(b"base: .")
def test_any_text(content):
    check(content)


@given(trees())
def test_any_values(content):
    check(content)


@given(
    st.one_of(
        st.tuples(names, st.sampled_from(FRAGMENTS) | st.text(max_size=20)).map("=".join),
        st.text(max_size=30),
    )
)
@example("name=!!int x")
@example("data.options=[a]")
@example("model.options={a: &x [*x]}")
@example("training.learning_rate=1" + "0" * 400)
def test_any_override(override):
    check(RECIPE.encode(), [override])


@pytest.mark.parametrize("loop", [False, True])
def test_bases_in_circles_and_chains(tmp_path, loop):
    for index in range(1, 300):
        (tmp_path / f"{index}.yaml").write_text(f"base: {index - 1}.yaml")
    (tmp_path / "0.yaml").write_text("base: 299.yaml" if loop else RECIPE)
    path = tmp_path / "299.yaml"
    assert result_or_error(load_config, path, ConfigError, str(tmp_path)) is None
