"""The check at the start of a training: what it tells, what it stops."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.runs.config import ConfigError, DataConfig, ModelConfig, RunConfig
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.training.data_check import check_data


@pytest.fixture
def photos(tmp_path, rng):
    root = tmp_path / "photos"
    for split, count in (("train", 40), ("val", 3)):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            image = rng.integers(0, 256, (36, 40, 3), np.uint8)
            mask = rng.integers(0, 2, (36, 40)).astype(np.uint8)
            Image.fromarray(image).save(root / split / f"images/{index:02d}.png")
            Image.fromarray(mask).save(root / split / f"labels/{index:02d}.png")
    (root / "classes.json").write_text(json.dumps({"classes": ["a", "b"]}))
    return root


def run(root, **data):
    lines = []
    options = {"path": str(root), **data.pop("options", {})}
    config = RunConfig("run", ModelConfig("tiny"), DataConfig("folder", options, **data))
    check_data(config, lines.append)
    return "\n".join(lines)


def test_a_sample_is_opened(photos):
    assert (
        f"Checked    35 of 43 pairs, nothing to mend; all of them: ctxseg check-data {photos}"
        in (run(photos))
    )


def test_full(photos):
    assert run(photos, check="full") == "Checked    43 of 43 pairs, nothing to mend"


@pytest.mark.parametrize("check", ["sample", "full"])
def test_errors_stop_the_run(photos, check):
    Image.new("L", (40, 36), 7).save(photos / "train/labels/00.png")
    lines = []
    config = RunConfig(
        "run", ModelConfig("tiny"), DataConfig("folder", {"path": str(photos)}, check=check)
    )
    with pytest.raises(ConfigError, match=r"photos: 1 errors in the data, listed above; `ctxseg"):
        check_data(config, lines.append)
    assert f"{photos}/train/labels/00.png: expected label ids 0 ... 1" in lines[0]


def test_warnings_do_not(photos):
    Image.new("L", (40, 36), 1).save(photos / "train/labels/00.png")
    text = run(photos)
    assert "WARNING  mask of a single class (1)" in text
    assert "35 of 43 pairs, 1 warnings" in text


@pytest.mark.parametrize("check", ["off", False])
def test_off(photos, check):
    Image.new("L", (40, 36), 7).save(photos / "train/labels/00.png")
    assert run(photos, check=check) == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pth": "x"}, "has no option 'pth'.*Did you mean 'path'"),
        ({"path": 3}, "option `path`: expected a string or a path. Received: 3"),
    ],
)
def test_wrong_options_are_named(photos, options, message):
    with pytest.raises(ValueError, match=f"Data set 'folder'.* {message}"):
        run(photos, options=options)


@pytest.mark.parametrize("word, value", [("off", False), ("full", "full"), ("sample", "sample")])
def test_recipes(tmp_path, word, value):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: a\nmodel: {{name: fcn_resnet18}}\ndata: {{name: folder, check: {word}}}\n"
    )
    assert load_config(recipe).data.check == value
    assert load_config(recipe, ["data.check=off"]).data.check is False
    with pytest.raises(ConfigError, match=r"`data.check`: expected"):
        load_config(recipe, ["data.check=some"])
    with pytest.raises(ConfigError, match=r"`data.check`: expected sample, full or off"):
        load_config(recipe, ["data.check=true"])


def test_train_checks_before_it_builds_anything(photos, tmp_path):
    from keras_ctxseg.training import train

    (photos / "train/labels/00.png").unlink()
    config = RunConfig(
        "run",
        ModelConfig("no such model"),
        DataConfig("folder", {"path": str(photos)}),
        output_dir=str(tmp_path),
    )
    with pytest.raises(ConfigError, match="1 errors in the data"):
        train(config, say=lambda line: None)
