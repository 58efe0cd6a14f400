"""`imports` of a recipe: found from anywhere, kept with the run, errors that name what failed."""

import re
import sys
from dataclasses import replace

import pytest

from keras_ctxseg.runs import imports
from keras_ctxseg.runs.config import ConfigError
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.runs.imports import import_modules
from keras_ctxseg.runs.run_directory import RunDirectory

RECIPE = """
name: trial
model: {name: fcn_resnet18}
data: {name: context_scenes}
"""


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Forgets the modules that a test imports."""
    before = set(sys.modules)
    monkeypatch.setattr(imports, "_DIGESTS", {})
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


def test_files_are_relative_to_the_recipe_that_names_them(write, tmp_path, monkeypatch):
    write("parts/own_part.py", "VALUE = 3")
    write("recipes/base.yaml", "imports: [../parts/own_part.py, json]")
    recipe = write("recipes/deeper/run.yaml", "base: ../base.yaml" + RECIPE)
    monkeypatch.chdir(tmp_path / "parts")
    config = load_config(recipe)
    assert config.imports == (str(tmp_path / "parts" / "own_part.py"), "json")
    import_modules(config.imports, recipe)
    assert sys.modules["own_part"].VALUE == 3
    # An override is relative to the working directory.
    assert load_config(recipe, ["imports=[own_part.py]"]).imports == ("own_part.py",)
    assert load_config(recipe, ["imports=null"]).imports == ()


def test_reading_a_recipe_imports_nothing(write):
    write("own_part.py", "raise SystemExit")
    load_config(write("run.yaml", RECIPE + "imports: [own_part.py, no.such.module]"))
    assert "own_part" not in sys.modules


def test_a_file_is_imported_once_and_later_files_find_it(write):
    first = write("own_first.py", "import json\nCALLS = []\nCALLS.append(1)")
    second = write("own_second.py", "from own_first import CALLS\nCALLS.append(2)")
    for _ in range(2):
        import_modules([str(first), str(second)], "recipe")
    assert sys.modules["own_first"].CALLS == [1, 2]
    # A copy of the same content, as a run keeps it, is the same module.
    copy = write("copy/own_first.py", first.read_text())
    import_modules([str(copy)], "recipe")
    assert sys.modules["own_first"].__file__ == str(first)
    changed = write("changed/own_first.py", "CALLS = None")
    with pytest.raises(ConfigError, match=r"another module 'own_first' is imported.*own_first\.py"):
        import_modules([str(changed)], "recipe")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "no_such_package.family",
            None,
            "no_such_package.family: there is no such module. Inst",
        ),
        (
            "json.family",
            None,
            "json.family: there is no such module. Install its package, set",
        ),
        ("own_missing.py", None, "own_missing.py: there is no such file"),
        ("own_part.py", "import no_such_thing", "ModuleNotFoundError: No module named 'no_such_th"),
        ("own_part.py", "\n\nVALUE = 1 / 0", "ZeroDivisionError: division by zero ("),
        ("own_part.py", "def broken(:", "SyntaxError: invalid syntax"),
        ("json.py", "", "json.py: expected a file named like a module of its own"),
        ("own-part.py", "", "own-part.py: expected a file named like a module of its own"),
    ],
)
def test_errors_name_the_recipe_and_the_module(write, tmp_path, name, text, message):
    if text is not None:
        write(name, text)
    recipe = write("run.yaml", RECIPE + f"imports: [{name}]")
    config = load_config(recipe)
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        import_modules(config.imports, recipe)
    assert str(error.value).startswith(f"{recipe}: `imports`: ")
    assert name in str(error.value)
    if text and "1 / 0" in text:
        assert f"({tmp_path / name}:3)" in str(error.value)
    assert "own_part" not in sys.modules


def test_a_run_keeps_its_files(write, tmp_path, make_config, make_dataset, monkeypatch):
    """So that it reads them again when it was moved, and says when they have changed."""
    monkeypatch.chdir(tmp_path)
    file = write("own_part.py", "VALUE = 3")
    config = replace(make_config(), imports=("own_part.py", "json"))
    directory = RunDirectory(config.directory)
    directory.describe(config, make_dataset())
    assert "imports:\n- imports/own_part.py\n- json\n" in directory.config.read_text()
    moved = RunDirectory(tmp_path / "moved")
    directory.path.rename(moved.path)
    file.unlink()
    kept = load_config(moved.config)
    assert kept.imports == (str(moved.imports / "own_part.py"), "json")
    import_modules(kept.imports, moved.config)
    assert sys.modules["own_part"].VALUE == 3
    # The run goes on with its own copy, or with the recipe's file.
    moved.describe(kept, make_dataset())
    assert load_config(moved.config).imports == kept.imports
    write("own_part.py", "VALUE = 3")
    assert not [change for change in moved.changes(config) if change.startswith("imports")]
    write("own_part.py", "VALUE = 4")
    (change,) = [change for change in moved.changes(config) if change.startswith("imports")]
    assert re.fullmatch(
        r"imports: \['own_part.py \w{12}', 'json'\] -> \['own_part.py \w{12}', 'json'\]", change
    )
    moved.describe(config, make_dataset())
    assert (moved.imports / "own_part.py").read_text() == "VALUE = 4"


def test_a_layer_that_no_checkpoint_can_name_is_refused(make_config, make_model, monkeypatch):
    """Before the training, not when the run is evaluated."""
    import keras

    import keras_ctxseg as ctx
    from keras_ctxseg.runs import assembly
    from keras_ctxseg.runs.assembly import build_model

    class Unregistered(keras.layers.Layer):
        def call(self, x):
            return 2.0 * x

    def build(layer):
        model = make_model()
        logits = layer(model.output["logits"])
        return ctx.models.SegmentationModel(model.input, {"logits": logits}, name="own")

    layers = {
        "unregistered": Unregistered(name="unregistered"),
        "lambda": keras.layers.Lambda(lambda x: 2.0 * x, name="lambda"),
    }
    monkeypatch.setattr(assembly, "build", lambda name, *_, **__: build(layers[name]))
    for name in layers:
        config = make_config()
        config = replace(config, model=replace(config.model, name=name))
        with pytest.raises(ConfigError, match=f"own has the layer '{name}', whose code, .*regist"):
            build_model(config, 3)
    registered = keras.saving.register_keras_serializable("own_part")(Unregistered)
    layers["registered"] = registered()
    config = make_config()
    build_model(replace(config, model=replace(config.model, name="registered")), 3)
