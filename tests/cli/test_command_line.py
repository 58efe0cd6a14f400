"""Parsing, exit codes and error lines; nothing here trains."""

import subprocess
import sys

import pytest

from keras_ctxseg import cli
from keras_ctxseg.cli import COMMANDS, main
from keras_ctxseg.cli._runs import parse_size

RECIPE = "name: trial\nmodel: {name: ksac_mobilenet_v2}\ndata: {name: context_scenes}\n"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE + f"output_dir: {tmp_path / 'runs'}\n")
    return str(path)


def fails(capsys, *arguments):
    """Runs a command that must fail with exit code 2 and one line; returns the line."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert "Traceback" not in captured.err + captured.out
    assert lines[0].startswith("ctxseg: error: ")
    return lines[0]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["benchmark", "--help"]])
def test_help_loads_neither_keras_nor_tensorflow(arguments):
    script = (
        "import sys\n"
        f"sys.argv = ['ctxseg', *{arguments}]\n"
        "from keras_ctxseg.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "heavy = {'keras', 'tensorflow', 'numpy', 'yaml', 'tensorflow_datasets', 'official'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "loaded: []" in result.stdout
    assert "usage: ctxseg" in result.stdout


def test_a_wrong_key_is_reported_before_tensorflow_loads(recipe):
    script = (
        "import sys\n"
        f"sys.argv = ['ctxseg', 'train', {recipe!r}, 'training.epochz=1']\n"
        "from keras_ctxseg.cli import main\n"
        "assert main() == 2\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "unknown key `training.epochz`. Did you mean 'training.epochs'?" in result.stderr


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_without_a_command_it_shows_the_help(capsys):
    assert main([]) == 2
    assert "usage: ctxseg" in capsys.readouterr().out


def test_an_unknown_option_is_refused(capsys, recipe):
    with pytest.raises(SystemExit) as stop:
        main(["train", recipe, "--resum3"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --resum3" in capsys.readouterr().err


def test_overrides_may_stand_after_options(capsys, recipe):
    line = fails(capsys, "train", recipe, "--resume", "training.epochs=2", "training.epochz=1")
    assert "unknown key `training.epochz`" in line


def test_an_error_inside_a_graph_is_one_line(capsys, recipe, monkeypatch):
    import tensorflow as tf

    from keras_ctxseg.training import run

    def damaged(*arguments, **options):
        text = "{{function_node __inner}} image.png: truncated\nTraceback ...\n\t [[{{node x}}]]"
        raise tf.errors.InvalidArgumentError(None, None, text)

    monkeypatch.setattr(run, "train", damaged)
    assert fails(capsys, "train", recipe) == "ctxseg: error: image.png: truncated"


def test_an_error_of_our_own_is_not_hidden(recipe, monkeypatch):
    from keras_ctxseg.training import run

    monkeypatch.setattr(run, "train", lambda *arguments, **options: [][0])
    with pytest.raises(IndexError):
        main(["train", recipe])


def test_debug_shows_the_traceback(capsys, recipe):
    assert main(["train", recipe, "training.epochz=1", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_recipe_is_named(capsys, tmp_path):
    line = fails(capsys, "train", str(tmp_path / "none.yaml"))
    assert "cannot read the configuration" in line and "none.yaml" in line


def test_a_misspelt_model_or_data_set_names_the_nearest(capsys, recipe):
    line = fails(capsys, "train", recipe, "data.name=context_scene")
    assert "Did you mean 'context_scenes'?" in line
    line = fails(capsys, "benchmark", "--model", "ksac_mobilenet_v3")
    assert "Did you mean 'ksac_mobilenet_v2'?" in line


def test_a_used_run_directory_is_refused_at_once(capsys, recipe, tmp_path):
    checkpoints = tmp_path / "runs/trial/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "last.keras").write_bytes(b"")
    line = fails(capsys, "train", recipe)
    assert "already holds a run" in line and "--resume" in line and "--overwrite" in line


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_missing_run_is_named(capsys, tmp_path, command):
    assert "there is no such run or checkpoint" in fails(capsys, command, str(tmp_path / "none"))
    line = fails(capsys, command, str(tmp_path))
    assert "expected a run's folder with checkpoints/best.keras in it" in line


def test_a_checkpoint_without_its_run_asks_for_the_recipe(capsys, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"")
    assert "give its recipe with --data CONFIG" in fails(capsys, "evaluate", str(path))


def test_lists(capsys):
    assert main(["list", "data"]) == 0
    assert "context_scenes" in capsys.readouterr().out.split()
    assert main(["list", "models", "ksac_resnet1?"]) == 0
    assert capsys.readouterr().out.split() == ["ksac_resnet18"]
    assert main(["list", "models", "none*"]) == 1
    assert main(["list", "models", "fcn_mobilenet_v2", "--options"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fcn_mobilenet_v2"
    assert "    dropout: a number (default 0.1)" in lines  # the family's
    assert "    width: a number (default 1.0)" in lines  # the backbone's
    assert main(["list", "data", "folder", "--options"]) == 0
    assert "    path: a string or a path (required)" in capsys.readouterr().out.splitlines()


def test_sizes():
    assert parse_size("360x480") == (360, 480)
    with pytest.raises(Exception, match="expected HEIGHTxWIDTH, as in 360x480. Received: '360'"):
        parse_size("360")


@pytest.mark.whole
def test_two_models_are_measured_side_by_side(capsys):
    options = ["--size", "33x33", "--repeats", "1", "--no-memory", "--num-classes", "3"]
    first_options, second_options = ["width=0.35", "filters=8"], ["width=0.35", "filters=16"]
    against = " ".join(["fcn_mobilenet_v2", *second_options])
    command = ["benchmark", "--model", "fcn_mobilenet_v2", *options, *first_options]
    assert main([*command, "--against", against]) == 0
    first, second = capsys.readouterr().out.split("\n\n")[1:]
    for text, filters in ((first, 8), (second, 16)):
        assert f"parameters     {_trainable(filters):,}" in text
    assert "ratio" not in first and "of its median" in second


FAMILY = """
import keras_ctxseg as ctx

@ctx.models.register_family("from_outside", output_stride=32)
def from_outside(images, backbone, num_classes, *, dropout: float = 0.0):
    return {"logits": ctx.heads.classify(backbone(images)[5], num_classes, images, dropout=dropout)}
"""


@pytest.fixture
def outside(tmp_path):
    """A file with a family, which is forgotten afterwards."""
    from keras_ctxseg.models.family import FAMILIES

    path = tmp_path / "my_measured_family.py"
    path.write_text(FAMILY)
    yield path
    FAMILIES.pop("from_outside", None)
    sys.modules.pop(path.stem, None)


def test_a_model_from_outside_is_measured(capsys, outside):
    options = ["--size", "33x33", "--repeats", "1", "--no-memory", "width=0.35"]
    command = ["benchmark", "--model", "from_outside_mobilenet_v2", *options]
    assert "There is no model 'from_outside_mobilenet_v2'" in fails(capsys, *command)
    assert "--imports: `imports`: nowhere.py" in fails(capsys, *command, "--imports", "nowhere.py")
    assert main([*command, "--imports", str(outside)]) == 0
    assert "from_outside_mobilenet_v2 width=0.35\n  parameters " in capsys.readouterr().out


@pytest.mark.whole
def test_a_model_from_outside_is_measured_in_another_process(capsys, outside, monkeypatch):
    monkeypatch.chdir(outside.parent)
    options = ["--size", "33x33", "--repeats", "1", "width=0.35", "--imports", outside.name]
    command = ["benchmark", "--model", "from_outside_mobilenet_v2", "--forms", "keras", *options]
    assert main(command) == 0
    assert "from_outside_mobilenet_v2 width=0.35 (keras)" in capsys.readouterr().out


def _trainable(filters: int) -> int:
    import keras_ctxseg as ctx

    model = ctx.models.build("fcn_mobilenet_v2", 3, width=0.35, filters=filters)
    return sum(weight.value.shape.num_elements() for weight in model.trainable_weights)


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    """A file's name could clear the screen, or write another line over this one."""
    path = tmp_path / "a\x1b[2J\rb.yaml"
    path.write_text("name: [")
    assert main(["train", str(path)]) == 2
    output = capsys.readouterr()
    assert r"a\x1b[2J\rb.yaml:1: not valid YAML" in output.err
    assert "\x1b" not in output.out + output.err
    cli._module("list").print("a\x1b[2J", "b\n")
    assert capsys.readouterr().out == "a\\x1b[2J b\n\n"
