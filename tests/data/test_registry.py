"""Data sets of other people, by name."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_ctxseg import cli, data
from keras_ctxseg.data.registry import DATASETS
from keras_ctxseg.runs.assembly import load_dataset
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.runs.run_directory import with_absolute_paths

GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def forget():
    """Names registered in a test are forgotten after it, and the guide's module too."""
    before = dict(DATASETS._entries)
    yield
    sys.modules.pop("my_data", None)
    DATASETS._entries.clear()
    DATASETS._entries.update(before)


@pytest.fixture
def guide(tmp_path, forget):
    """The guide's module with a data set, `my_data.py`, its recipe, and arrays for it."""
    blocks = re.findall(r"^```\w+\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    code, recipe = [
        block for block in blocks if "register_dataset(" in block or "name: arrays" in block
    ]
    (tmp_path / "my_data.py").write_text(code)
    (tmp_path / "recipe.yaml").write_text(recipe)
    (tmp_path / "arrays").mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        images = rng.integers(0, 256, (count, 40, 50, 3), np.uint8)
        labels = rng.integers(0, 3, images.shape[:3])
        np.savez(tmp_path / "arrays" / split, images=images, labels=labels)
    return tmp_path


def test_the_guides_data_set_is_trained_on_like_any_other(guide, capsys, monkeypatch):
    monkeypatch.chdir(guide)
    assert cli.main(["list", "data", "arr*", "--options", "--imports", "my_data.py"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[:2] == ["arrays", "    path: a string or a path (required)"]
    config = with_absolute_paths(load_config("recipe.yaml"))
    assert config.data.options["path"] == str(guide / "arrays")
    dataset = load_dataset(config)
    assert dataset.class_names == ("sky", "road", "boat")
    assert dict(dataset.splits) == {"train": 4, "val": 2}
    stored = np.load("arrays/val.npz")
    examples = list(data.evaluation_examples(dataset, "val").as_numpy_iterator())
    for index, example in enumerate(examples):
        np.testing.assert_array_equal(example["image"], stored["images"][index])
        np.testing.assert_array_equal(example["label"], stored["labels"][index])
        assert example["name"] == str(index).encode()
    augmentation = data.AugmentationConfig(crop_size=(33, 33))
    pipeline = data.TrainPipeline(dataset, "train", augmentation, batch_size=2)
    images, labels = next(iter(pipeline.build()))
    assert images.shape == (2, 33, 33, 3) and labels.shape == (2, 33, 33)


def test_names_options_and_results_are_checked(forget):
    @data.register_dataset("nothing")
    def nothing(*, size: int = 3):
        return size

    assert data.dataset_options("nothing")["size"].default == 3
    assert data.published("nothing") is None and data.published("camvid") is not None
    with pytest.raises(ValueError, match="'nothing' must return a SegmentationDataset.*int"):
        data.load("nothing")
    with pytest.raises(ValueError, match="'nothing' has no option 'sise'.*Did you mean 'size'"):
        data.load("nothing", sise=1)
    with pytest.raises(ValueError, match="There is a data set 'folder' already"):
        data.register_dataset("folder", lambda: None)
    with pytest.raises(ValueError, match="each option by keyword only"):
        data.register_dataset("other", lambda size: None)
    data.register_dataset("folder", nothing, replace=True)
    assert "size" in data.dataset_options("folder")
    data.register_dataset("elsewhere", "no_such_package.data:load")
    with pytest.raises(ValueError, match="'no_such_package.data:load' cannot be imported"):
        data.load("elsewhere")
