"""scripts/train.py runs as it stands, in place of a reader who copies it."""

import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx

SCRIPT = Path(__file__).parents[2] / "scripts/train.py"


@pytest.mark.whole
def test_trains_scores_and_saves(tmp_path, monkeypatch, capsys):
    arguments = {"--model": "fcn_mobilenet_v2", "--epochs": 1, "--steps-per-epoch": 1,
                 "--batch-size": 2, "--output": tmp_path / "model.keras"}  # fmt: skip
    words = [str(word) for pair in arguments.items() for word in pair]
    monkeypatch.setattr(sys, "argv", ["train.py", *words, "--crop", "64", "64"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    output = capsys.readouterr().out
    dataset = ctx.data.load("context_scenes")
    assert all(name in output for name in dataset.class_names)
    model = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(model.optimizer, ctx.training.SGD)
    images = np.random.default_rng(0).uniform(0, 255, (1, 40, 48, 3)).astype("float32")
    assert model.predict(images, verbose=0)["logits"].shape == (1, 40, 48, dataset.num_classes)
