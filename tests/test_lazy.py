"""Packages load their public names on first use, and Keras knows every class that is saved."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ctxseg
from keras_ctxseg._registration import REGISTERED

ROOT = Path(keras_ctxseg.__file__).parent
PACKAGES = [name for name in keras_ctxseg.__all__ if name != "__version__"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_loads(package):
    module = getattr(keras_ctxseg, package)
    for name in getattr(module, "__all__", []):
        assert getattr(module, name) is not None
        assert name in dir(module)


def test_no_name_is_a_submodule_too():
    """An imported submodule would take the place of a lazy name that is spelt alike."""
    for init in ROOT.rglob("__init__.py"):
        package = ".".join(init.parent.relative_to(ROOT.parent).parts)
        for block in ast.parse(init.read_text()).body:
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
                for statement in block.body:
                    for alias in statement.names:
                        same = (init.parent / alias.name).with_suffix(".py").exists()
                        assert not same or statement.module == package, f"{init}: {alias.name}"


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(AttributeError, match=r"no attribute 'Predicter'.*Did you mean 'Predictor'"):
        _ = keras_ctxseg.evaluation.Predicter


def test_names_without_keras():
    """Choice lists, tables and configuration come from their owners without Keras or TensorFlow."""
    script = """
import json, sys
sys.argv[0] = "ctxseg"
import keras_ctxseg as ctx
ctx.runs.RunConfig, ctx.data.AugmentationConfig, ctx.panoptic.GroupingOptions
ctx.evaluation.PROTOCOLS, ctx.backbones.SEARCHED_BLOCKS, ctx.search.count_cost
print(json.dumps([name for name in ("keras", "tensorflow") if name in sys.modules]))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(result.stdout) == []


def test_the_root_registers_every_class():
    registering = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in ROOT.rglob("*.py")
        if "@keras.saving.register_keras_serializable" in path.read_text()
    }
    assert set(REGISTERED) == registering
