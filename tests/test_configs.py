"""Every recipe under configs/ is tried: data, pipeline and network are built, one step is taken."""

import dataclasses
import math
import sys
from pathlib import Path

import pytest

import keras_ctxseg as ctx
from keras_ctxseg._options import checked_options
from keras_ctxseg.costs.recipe_trial import dry_run
from keras_ctxseg.costs.training_memory import TrainingMemory
from keras_ctxseg.data import registry
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.runs.plan import Plan

ROOT = Path(__file__).parents[1] / "configs"
RECIPES = sorted(
    path
    for path in ROOT.glob("*/*.yaml")
    # Those are tests/search's and tests/bakeoff's.
    if path.name != "base.yaml" and path.parent.name not in ("search", "bakeoff")
)

FIRST_OF_FAMILY = {path.stem.split("_")[0]: path for path in reversed(RECIPES)}

# Training images that the recipes' data sets have when they are complete.
IMAGES = {
    "ade20k": 20210,
    "cityscapes": 2975,
    "coco_panoptic": 118287,
    "coco_stuff": 118287,
    "context_scenes": 600,
    "pascal_context": 4998,
    "pascal_voc_2012": 10582,
}
CLASSES = {
    "ade20k": 150,
    "cityscapes": 19,
    "coco_panoptic": 133,
    "coco_stuff": 171,
    "context_scenes": 12,
    "pascal_context": 59,
    "pascal_voc_2012": 21,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder of stand-ins for all recipes; each data set is prepared once."""
    return tmp_path_factory.mktemp("stand_ins")


@pytest.fixture(autouse=True)
def own_cache(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


def test_there_is_a_recipe_for_every_experiment_of_the_papers():
    names = set(map(name_of, RECIPES))
    for data, models in {
        "pascal_context": "encnet_resnet50 encnet_resnet101 spacemeshlab_resnet101",
        "pascal_voc_2012": "encnet_resnet101 ksac_mobilenet_v2 ksac_xception65 spinenet_seg_s49 "
        "spinenet_seg_s96 spinenet_seg_s143",
        "ade20k": "encnet_resnet50 encnet_resnet101 ksac_mobilenet_v2 ksac_xception65",
        "cityscapes": "spacemeshlab_resnet101 spinenet_seg_s49 spinenet_seg_s96 spinenet_seg_s143 "
        "rsp_resnet50",
        "coco_panoptic": "rsp_resnet50",
        "coco_stuff": "rsp_resnet50",
    }.items():
        assert {f"{data}/{model}" for model in models.split()} <= names


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_headers_keep_apart_what_is_known(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert header
    if path.parent.name in ("camvid", "context_scenes", "folder"):
        return
    text = " ".join(" ".join(header).replace("#", " ").split())
    assert "Run here: nothing but the dry run" in text
    if "The paper reports" in text:
        assert "not this package's" in text or "none of which is stated" in text


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_it_loads_and_names_what_exists(path):
    config = load_config(path)
    assert config.name in (name_of(path).replace("/", "_"), path.stem)
    model, data = config.model, config.data
    options = {key: value for key, value in model.options.items() if key != "output_stride"}
    checked_options(model.name, options, ctx.models.model_options(model.name))
    checked_options(data.name, data.options, ctx.data.dataset_options(data.name))
    published = registry.published(config.data.name)
    if published is None:
        assert config.data.name in ("folder", "context_scenes")
        return
    assert {config.data.train_split, config.data.validation_split} <= set(published.splits)
    assert published.splits[config.data.train_split] == IMAGES[config.data.name]
    assert len(published.class_names) == CLASSES[config.data.name]
    assert config.model.num_classes in (None, CLASSES[config.data.name])
    # Steps and epochs are of whole executions.
    Plan.of(config.training, math.ceil(IMAGES[config.data.name] / config.training.batch_size))


NO_FAMILY_OF_THEIR_OWN = ("context_free_twin", "fcn_resnet18")
ONE_OF_EACH_FAMILY = [
    path
    for path in RECIPES
    if path.parent.name == "context_scenes" and path.stem not in NO_FAMILY_OF_THEIR_OWN
]
ONE_OF_EACH_DATA_SET = {path.parent.name: path for path in reversed(RECIPES)}
del ONE_OF_EACH_DATA_SET["context_scenes"]  # as those of the families


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path in ONE_OF_EACH_FAMILY else pytest.mark.whole)
        for path in RECIPES
    ],
    ids=name_of,
)
def test_dry_run(path, folder, monkeypatch):
    # An estimate takes as long as the step: one for each family.
    check_dry_run(load(path, folder), folder, monkeypatch, path in FIRST_OF_FAMILY.values())


@pytest.mark.parametrize("path", ONE_OF_EACH_DATA_SET.values(), ids=name_of)
def test_dry_run_of_a_data_set(path, folder, monkeypatch):
    """With a small network; those of the recipes take long."""
    config = load(path, folder)
    small = {"width": 0.35, "filters": 16}
    name = "fcn_mobilenet_v2"
    if config.data.options.get("panoptic"):
        name, small = "rsp_panoptic_mobilenet_v2", {**small, "heads": 2, "window": 3}
    model = dataclasses.replace(config.model, name=name, options=small)
    check_dry_run(dataclasses.replace(config, model=model), folder, monkeypatch, False)


def load(path, folder):
    overrides = [f"output_dir={folder / 'runs'}"]
    if path.parent.name == "context_scenes":
        overrides.append(f"data.options.data_dir={folder / 'context_scenes'}")
    return load_config(path, overrides)


def check_dry_run(config, folder, monkeypatch, estimated):
    if not estimated:
        module = sys.modules[dry_run.__module__]
        nothing = TrainingMemory(state=0, activations=0)
        monkeypatch.setattr(module, "estimate_training_memory", lambda *_: nothing)
    result = dry_run(config)
    assert all(math.isfinite(loss) and loss > 0 for loss in result.losses.values())
    if config.data.name in IMAGES:
        images = IMAGES[config.data.name]
        assert result.images == images
        assert result.num_classes == CLASSES[config.data.name]
        assert result.plan.steps_per_epoch == math.ceil(images / config.training.batch_size)
    else:
        assert config.data.name == "folder" and result.plan is None
    # A uniform guess over the classes costs their logarithm; fresh networks are near it.
    main = result.losses.get("logits_loss", result.losses["loss"])
    assert 0.2 < main / math.log(result.num_classes) < 5
    if estimated:
        assert result.memory.activations > 0
        # Weights, gradients and one momentum, four bytes each.
        assert result.memory.state >= 3 * 4 * result.trainable
    assert not (folder / "runs").exists()
