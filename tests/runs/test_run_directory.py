"""A run's own configuration reads the same from every working directory."""

import dataclasses

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
