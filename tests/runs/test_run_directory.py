"""A run's own configuration reads the same from every working directory."""

import dataclasses
import json

import pytest

from keras_ctxseg.runs.config import DataConfig, ModelConfig
from keras_ctxseg.runs.run_directory import RunDirectory, with_absolute_paths
from keras_ctxseg.training import load_config


@pytest.fixture
def relative(make_config):
    return dataclasses.replace(
        make_config(),
        output_dir="runs",
        data=DataConfig("folder", {"path": "mydata", "mask_format": "ids"}),
        model=ModelConfig("tiny", weights="start.keras"),
    )


def test_paths_are_those_of_where_the_run_began(relative, make_dataset, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.chdir(first)
    RunDirectory(relative.directory).describe(relative, make_dataset())
    monkeypatch.chdir(second)
    again = load_config(first / "runs/run/config.yaml")
    assert again.directory == first / "runs/run"
    assert again.data.options == {"path": str(first / "mydata"), "mask_format": "ids"}
    assert again.model.weights == str(first / "start.keras")
    assert RunDirectory(again.directory).changes(again) == []
    assert with_absolute_paths(again) == again


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("data/{split}-*", "{here}/data/{split}-*"), ({"train": "a-*"}, {"train": "{here}/a-*"})],
)
def test_patterns_of_record_files_are_paths(make_config, tmp_path, monkeypatch, pattern, expected):
    monkeypatch.chdir(tmp_path)
    data = DataConfig("tfrecord", {"pattern": pattern, "num_classes": 3})
    config = with_absolute_paths(dataclasses.replace(make_config(), data=data))
    found = json.dumps(config.data.options["pattern"])
    assert found == json.dumps(expected).replace("{here}", str(tmp_path))


def test_the_recipe_in_the_same_place_is_no_change(relative, make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory(relative.directory)
    directory.describe(relative, make_dataset())
    assert directory.changes(relative) == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    directory = RunDirectory(tmp_path / "runs/run")
    keys = [line.split(":")[0] for line in directory.changes(relative)]
    assert keys == ["data.options.path", "model.weights", "output_dir"]
