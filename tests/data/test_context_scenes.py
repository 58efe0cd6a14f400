"""The embedded data set: what decides a class is out of a small receptive field's sight."""

import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from keras_ctxseg import data
from keras_ctxseg.data.context_scenes.builder import SEED, SPLITS, ContextScenes
from keras_ctxseg.data.context_scenes.canvas import CLASS_NAMES, CONTEXT_PAIRS
from keras_ctxseg.data.context_scenes.scene import SceneFacts, draw_facts, draw_scene

RADIUS = 16  # of a receptive field of 33 pixels


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def dataset(data_dir):
    return data.load("context_scenes", data_dir=data_dir)


def pair(fact, index):
    """Scene `index` twice, drawn alike but for one fact."""
    facts = draw_facts(SEED, index)
    other = dataclasses.replace(facts, **{fact: not getattr(facts, fact)})
    return draw_scene(facts, SEED, index), draw_scene(other, SEED, index)


def near(mask):
    """Pixels whose receptive field touches the mask."""
    padded = np.pad(mask, RADIUS)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * RADIUS + 1,) * 2)
    return windows.any(axis=(-2, -1))


def test_dataset(dataset):
    assert dataset.name == "context_scenes"
    assert dataset.splits == {"train": 600, "val": 100} == SPLITS
    assert dataset.class_names == CLASS_NAMES
    assert dataset.palette.shape == (12, 3)


def test_examples_are_the_scenes_in_order(dataset):
    for offset, example in enumerate(dataset.examples("val").take(3)):
        scene = draw_scene(draw_facts(SEED, 600 + offset), SEED, 600 + offset)
        np.testing.assert_array_equal(example["image"], scene.image)
        np.testing.assert_array_equal(example["label"], scene.label)
        assert example["name"].numpy().decode() == f"val_{offset:04d}"
        assert example["image"].shape == (96, 128, 3)


def test_every_class_occurs_and_nothing_else(dataset):
    for split in dataset.splits:
        labels = np.stack([example["label"] for example in dataset.examples(split)])
        counts = np.bincount(labels.ravel(), minlength=256)
        assert (counts[:12] > 0.002 * labels.size).all()
        assert counts[12:255].sum() == 0
        assert 0 < counts[255] < 0.03 * labels.size


def test_facts_are_fair_and_independent():
    facts = np.array([dataclasses.astuple(draw_facts(SEED, index)) for index in range(700)])
    closed = facts[:, 2] | facts[:, 3]
    coins = np.column_stack([facts[:, :2], closed]).astype(float)
    assert np.abs(coins.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(700)
    assert np.abs(np.corrcoef(coins.T) - np.eye(3)).max() < 4 / np.sqrt(700)
    assert np.abs(facts[closed, 2:].mean(axis=0) - 2 / 3).max() < 4 * 0.5 / np.sqrt(350)


@pytest.mark.parametrize("index", range(0, 60, 5))
def test_surface_and_what_is_on_it_are_told_from_afar(index):
    scene, other = pair("coast", index)
    changed = near((scene.image != other.image).any(axis=-1))
    relabelled = (scene.label != other.label) & (scene.label != CLASS_NAMES.index("landmark"))
    relabelled &= other.label != CLASS_NAMES.index("landmark")
    names = {CLASS_NAMES[label] for label in np.unique(scene.label[relabelled])}
    assert names in ({"water", "boat"}, {"road", "car"})
    # No pixel of these classes has anything in view that depends on the fact.
    assert not (changed & relabelled).any()


@pytest.mark.parametrize("fact", ["left_red", "right_red"])
@pytest.mark.parametrize("index", range(0, 60, 10))
def test_the_track_is_told_from_both_its_ends(fact, index):
    seed_facts = draw_facts(SEED, index)
    facts = dataclasses.replace(seed_facts, left_red=False, right_red=False)
    scene = draw_scene(facts, SEED, index)
    other = draw_scene(dataclasses.replace(facts, **{fact: True}), SEED, index)
    changed = near((scene.image != other.image).any(axis=-1))
    relabelled = scene.label != other.label
    assert {CLASS_NAMES[label] for label in np.unique(scene.label[relabelled])} == {"open_track"}
    assert {CLASS_NAMES[label] for label in np.unique(other.label[relabelled])} == {"closed_track"}
    assert (changed & relabelled).sum() < 0.25 * relabelled.sum()


@pytest.mark.parametrize("index", range(0, 60, 10))
def test_vehicles_on_the_hill_differ_in_length_only(index):
    lengths = {}
    for scene in pair("long", index):
        for name in ("tram", "train"):
            rows, columns = np.where(scene.label == CLASS_NAMES.index(name))
            if len(rows):
                assert np.ptp(rows) + 1 == 9
                lengths[name] = np.ptp(columns) + 1
                colors = scene.image[rows, columns].reshape(-1, 3)
                lengths[name + " color"] = colors[(rows - rows.min()) < 2].mean(axis=0)
    assert 34 <= lengths["tram"] <= 38
    assert 64 <= lengths["train"] <= 74
    np.testing.assert_allclose(lengths["tram color"], lengths["train color"], atol=3)


def test_instances_cover_things_and_nothing_else(data_dir, dataset):
    import tensorflow_datasets as tfds

    things = [CLASS_NAMES.index(name) for name in ("boat", "car", "tram", "train")]
    builder = ContextScenes(data_dir=data_dir)
    for example in tfds.as_numpy(builder.as_dataset(split="val").take(20)):
        label, instances = example["label"][..., 0], example["instances"][..., 0]
        np.testing.assert_array_equal(instances > 0, np.isin(label, things))
        assert 4 <= len(np.unique(instances)) - 1 <= 6
        for instance in range(1, instances.max() + 1):
            assert len(np.unique(label[instances == instance])) == 1


def test_scenes_do_not_depend_on_the_process():
    code = (
        "import hashlib, sys; sys.argv = ['ctxseg']\n"
        "from keras_ctxseg.data.context_scenes.scene import SceneFacts, draw_scene\n"
        "scene = draw_scene(SceneFacts(True, False, True, False), 3, 14)\n"
        "print(hashlib.sha256(scene.image.tobytes() + scene.label.tobytes()).hexdigest())"
    )
    scene = draw_scene(SceneFacts(True, False, True, False), 3, 14)
    digest = hashlib.sha256(scene.image.tobytes() + scene.label.tobytes()).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "99"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == digest


def test_pairs_name_classes():
    assert {name for names in CONTEXT_PAIRS for name in names} < set(CLASS_NAMES)


def test_a_killed_generation_recovers(tmp_path, monkeypatch):
    from keras_ctxseg.data.context_scenes import builder

    monkeypatch.setattr(builder, "SPLITS", {"train": 3, "val": 2})
    original = builder.draw_scene

    def fail(facts, seed, index):
        if index == 4:
            raise KeyboardInterrupt
        return original(facts, seed, index)

    monkeypatch.setattr(builder, "draw_scene", fail)
    with pytest.raises(KeyboardInterrupt):
        data.load("context_scenes", data_dir=tmp_path)
    monkeypatch.setattr(builder, "draw_scene", original)
    assert data.load("context_scenes", data_dir=tmp_path).splits == {"train": 3, "val": 2}


def test_a_data_dir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match=r"`data_dir`: expected a folder .* can be written. Found"):
        data.load("context_scenes", data_dir=tmp_path / "file")


def test_this_version_draws_these_scenes():
    # Prepared data lies on users' disks: whoever changes the drawing raises the builder's VERSION.
    scenes = [draw_scene(draw_facts(SEED, index), SEED, index) for index in (0, 599, 600)]
    labels = hashlib.sha256(b"".join(scene.label.tobytes() for scene in scenes)).hexdigest()
    means = [float(scene.image.mean()) for scene in scenes]
    assert str(ContextScenes.VERSION) == "1.1.0"
    assert labels[:16] == "84cbc5e7ad43cfa4"
    np.testing.assert_allclose(means, [120.9259, 128.5461, 132.0772], atol=1e-3)
