"""`ctxseg train CONFIG --dry-run` as a user sees it."""

import re

import pytest

from keras_ctxseg.cli import main

RECIPE = """
name: trial
model: {{name: ksac_mobilenet_v2, options: {{width: 0.35, filters: 16, rates: [1, 2, 3]}}}}
data: {{name: pascal_voc_2012, validation_split: val}}
augmentation: {{crop_size: [129, 97]}}
training: {{batch_size: 16, epochs: 3, steps_per_execution: 2, precision: {precision}}}
output_dir: {directory}/runs
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(precision="float32"):
        path = tmp_path / "recipe.yaml"
        path.write_text(RECIPE.format(directory=tmp_path, precision=precision))
        return str(path)

    return write


def test_it_says_what_training_would_cost(recipe, tmp_path, capsys):
    assert main(["train", recipe(), "--dry-run", "--dry-run-size", "48x64"]) == 0
    printed = capsys.readouterr().out
    # 1,464 images in batches of 16 make 92 steps.
    assert "92 an epoch of 1464 images, batch 16; 276 in all, 3 epochs" in printed
    assert "PASCAL VOC 2012 segmentation: random images in its classes" in printed
    assert "2 images of 48x64" in printed
    assert "for one image of 129x97" in printed
    assert "for a step of 16 images of 129x97 on one device, estimated" in printed
    assert re.search(r"loss \d+\.\d{3}", printed)
    assert not (tmp_path / "runs").exists()


def test_what_cannot_run_is_refused(recipe, capsys):
    assert main(["train", recipe(), "data.train_split=trian", "--dry-run"]) == 2
    assert "`data.train_split`: expected one of train, val" in capsys.readouterr().err
    assert main(["train", recipe(), "--dry-run", "training.class_weights=[1, 2]"]) == 2
    assert "expected 21 weights, one per class" in capsys.readouterr().err
