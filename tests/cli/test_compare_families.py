"""scripts/compare_families.py: what it reads from runs, and what its table says."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/compare_families.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("compare_families", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_recipe_is_there_and_shares_one_training(script):
    from keras_ctxseg.training import load_config

    configs = [load_config(script.RECIPES / f"{name}.yaml") for name in script.FAMILIES]
    for config, name in zip(configs, script.FAMILIES, strict=True):
        assert config.model.name == name
        assert config.training == configs[0].training
        assert config.augmentation == configs[0].augmentation
        assert config.data == configs[0].data
    assert len({config.name for config in configs}) == len(configs)


def test_table(script):
    def outcomes(*scores):
        return [script.Outcome(score, 1234, 10.0, 20.0 + score) for score in scores]

    runs = {"fcn": outcomes(0.3, 0.4), "ours": outcomes(0.5, 0.8), "other": outcomes(0.6)}
    lines = script.table(runs, {"other": "ours"}, "fcn").splitlines()[2:]
    assert lines[0] == "| `fcn` | 2 | 35.0 | 7.1 | 30.0 | 40.0 | - | 1,234 | 20 |"
    assert lines[1] == "| `ours` | 2 | 65.0 | 21.2 | 50.0 | 80.0 | +30.0 | 1,234 | 21 |"
    assert lines[2] == "| `other` | 1 | 60.0 | - | 60.0 | 60.0 | -5.0 | 1,234 | 21 |"


def test_a_finished_run_is_not_run_again(script, tmp_path, monkeypatch):
    recipe = script.RECIPES / "fcn_mobilenet_v2.yaml"
    outcome = {"mean_iou": 0.5, "parameters": 7, "wall_seconds": 1.0, "cpu_seconds": 2.0}
    folder = tmp_path / "seed3" / "context_scenes_fcn_mobilenet_v2"
    folder.mkdir(parents=True)
    (folder / "outcome.json").write_text(json.dumps(outcome))
    monkeypatch.setattr(script.subprocess, "run", lambda *_, **__: pytest.fail("it ran"))
    assert script.run(recipe, 3, tmp_path, []) == script.Outcome(**outcome)


def test_the_last_validation_counts(script, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,val_mean_iou\n0,0.1\n1,0.9\n2,0.4\n3,\n")
    assert script._last_score(log) == 0.4
