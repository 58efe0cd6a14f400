"""docs/bakeoff: what was measured is what the recipes build today."""

import json
from pathlib import Path

import pytest

from keras_ctxseg.benchmark import count_multiply_adds
from keras_ctxseg.models import build
from keras_ctxseg.runs.config_file import load_config

KEPT = Path(__file__).parents[2] / "docs" / "bakeoff"
RUNS = sorted(path.parent for path in KEPT.glob("*/*/seed0/outcome.json"))
ALWAYS = [KEPT / "camvid" / "spinenet_seg" / "seed0"]


# A preset's name in a recipe says nothing of what the preset holds: its costs do.
@pytest.mark.parametrize(
    "run",
    [pytest.param(run, marks=() if run in ALWAYS else pytest.mark.whole) for run in RUNS],
    ids=lambda run: f"{run.parts[-3]}/{run.parts[-2]}",
)
def test_a_kept_run_is_of_todays_network(run):
    recipe = load_config(run / "config.yaml").model
    kept = json.loads((run / "outcome.json").read_text(encoding="utf-8"))
    classes = len(json.loads((run / "scores.json").read_text(encoding="utf-8"))["classes"])
    model = build(recipe.name, num_classes=classes, **recipe.options)
    counted = count_multiply_adds(
        lambda images, training=False: model(images, training=training)["logits"],
        tuple(kept["size"]),
    )
    assert (model.count_params(), counted.total) == (kept["parameters"], kept["multiply_adds"])
