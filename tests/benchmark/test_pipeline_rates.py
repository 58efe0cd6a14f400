import json

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.benchmark import compare_pipeline
from keras_ctxseg.benchmark.pipeline import PipelineComparison
from keras_ctxseg.training import AugmentationConfig, DataConfig, ModelConfig, RunConfig


@pytest.fixture
def config(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, shape in (("images", (40, 48, 3)), ("labels", (40, 48))):
            folder = tmp_path / split / kind
            folder.mkdir(parents=True)
            pixels = random.integers(0, 2, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "0.png")
    (tmp_path / "classes.json").write_text(json.dumps({"classes": ["a", "b"]}))
    return RunConfig(
        name="tiny",
        model=ModelConfig("fcn_mobilenet_v2", options={"width": 0.25}),
        data=DataConfig("folder", options={"path": str(tmp_path)}),
        augmentation=AugmentationConfig(crop_size=(33, 40)),
    )


@pytest.mark.whole
def test_both_rates_of_a_recipe(config):
    result = compare_pipeline(config, seconds=0.1, rounds=1)
    assert result.pipeline > 0
    assert result.training > 0
    assert result.cpu_seconds > 0


def test_ratio():
    assert PipelineComparison(pipeline=30.0, training=8.0, cpu_seconds=0.1).ratio == 3.75
