"""docs/extending.md: its files are taken from the page, and its commands run as they stand."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.runs.checkpoint import read_state

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
COLORS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)

# As the installed command, which registers classes only when it needs them.
RUN = """
import shlex, sys
sys.argv[0] = "ctxseg"
from keras_ctxseg.cli import main
for line in sys.argv[1:]:
    code = main(shlex.split(line)[1:])
    if code:
        sys.exit(f"{line}: {code}")
"""

# With the recipe's modules imported, Keras itself loads network, losses and optimizer.
LOAD = """
import keras
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.runs.imports import import_modules
import_modules(load_config("runs/gated/config.yaml").imports, "run")
model = keras.models.load_model("runs/gated/checkpoints/last.keras")
assert model.optimizer.built
losses = model._compile_loss._user_loss["logits"].losses
assert [type(loss).__name__ for loss in losses] == ["SegmentationCrossentropy", "Dice"], losses
"""


def block(language: str) -> str:
    """The page's first code block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run(folder: Path, code: str, *arguments: str) -> str:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_parts.py").write_text(block("python"))
    (tmp_path / "gated.yaml").write_text(block("yaml"))
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2)):
        for kind in ("images", "labels"):
            (tmp_path / "mydata" / split / kind).mkdir(parents=True)
        for index in range(count):
            label = rng.integers(0, 3, (9, 10)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
            image = COLORS[label] + rng.integers(0, 40, (*label.shape, 3))
            for kind, pixels in (("images", image), ("labels", label)):
                path = tmp_path / "mydata" / split / kind / f"{index}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    (tmp_path / "mydata" / "classes.json").write_text('{"classes": ["red", "green", "blue"]}')
    return tmp_path


def read_labels(folder: Path) -> np.ndarray:
    return np.array([np.asarray(Image.open(path)) for path in sorted(folder.glob("labels/*.png"))])


def test_parts_from_outside_are_trained_evaluated_exported_and_served(folder):
    commands = [line for line in block("sh").splitlines() if line]
    assert [shlex.split(line)[1] for line in commands] == [
        "list", "train", "train", "evaluate", "export", "predict", "predict",
    ]  # fmt: skip
    assert len(block("python").splitlines()) <= 60

    printed = run(folder, RUN, *commands[:2])
    assert "filters: an integer (default 64)" in printed  # the family's
    assert "width: an integer (default 16)" in printed  # the backbone's
    last = folder / "runs/gated/checkpoints/last.keras"
    assert read_state(last).epoch == 3

    # From here on the run has its own copy.
    (folder / "my_parts.py").unlink()
    printed = run(folder, RUN, *commands[2:6])
    assert read_state(last).epoch == 4
    assert "SavedModel" in printed and "labels agree on 100.000 %" in printed
    run(folder, LOAD)

    # An export needs neither the parts nor the run.
    (folder / "runs").rename(folder / "elsewhere")
    run(folder, RUN, commands[6])
    labelled, served = read_labels(folder / "labelled"), read_labels(folder / "served")
    assert labelled.shape == served.shape == (2, 72, 80)
    np.testing.assert_array_equal(served, labelled)
