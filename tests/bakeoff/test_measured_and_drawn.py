"""Latencies are measured once; the last weights count; the most disputed images are drawn."""

import json

import numpy as np
import pytest
from PIL import Image

import keras_ctxseg as ctx
from keras_ctxseg.benchmark.latency import Latency
from keras_ctxseg.benchmark.side_by_side import Measurement
from keras_ctxseg.runs.checkpoint import TrainingState, save_checkpoint
from keras_ctxseg.runs.config_file import save_config
from tests.fixtures.dummy_datasets.folder import write_folder

MATRICES = np.full((3, 3, 3), 50) + 100 * np.eye(3, dtype=int)


def test_speed_is_measured_once_for_each_recipe(plan, keep_made_up, tmp_path, monkeypatch):
    from bakeoff_parts import speed
    from bakeoff_parts.systems import gather
    from bakeoff_parts.tables import advice

    keep_made_up(plan.jobs[0], MATRICES)
    worse = MATRICES.copy()
    worse[:, 0] = [100, 100, 50]
    keep_made_up(plan.jobs[2], worse)
    groups = []

    def measured(subjects, repeats, folder):
        groups.append(subjects)
        calls = [
            Latency(tuple(0.001 * one.options["filters"] + 0.1 * k for k in range(repeats)))
            for one in subjects
        ]
        return [
            Measurement(one, call, {"parameters": 7}, 0)
            for one, call in zip(subjects, calls, strict=True)
        ], 5e10

    monkeypatch.setattr(speed, "measure_side_by_side", measured)
    recipes = [("shapes", "plain"), ("shapes", "wide"), ("words", "long")]
    for _ in range(2):
        speed.measure(plan, recipes, tmp_path / "kept", tmp_path, at_once=1, repeats=3)
    # One group for each recipe with a finished run, and none the second time.
    assert [[one.form for one in group] for group in groups] == [["keras", "saved_model"]] * 2
    assert {(one.size, one.num_classes) for group in groups for one in group} == {((48, 64), 3)}
    kept = json.loads((tmp_path / "kept" / "shapes" / "wide" / "speed.json").read_text())
    assert kept["matrix_product_gflops"] == pytest.approx(100)
    assert kept["forms"]["keras"]["median"] == pytest.approx(0.112)
    plain, wide = gather(plan, "shapes", tmp_path / "kept").systems
    assert plain.milliseconds("saved_model").value == pytest.approx(8)
    assert wide.milliseconds("keras").value == pytest.approx(12)
    said = advice(gather(plan, "shapes", tmp_path / "kept"))
    # As good, and slower: nobody should pick it for its speed.
    assert "as fast, exported, from fast to slow: `plain` (42.9 %, 8.0 ms)." in said


@pytest.fixture
def trained(plan, tmp_path):
    """A function that puts a run of `plain`, seed 0, there, with this averaging and these steps."""
    config = plan.config(plan.jobs[0], ["training.ema_momentum=null"])
    folder = tmp_path / "runs" / "shapes" / "plain" / "seed0"
    model = ctx.models.build(config.model.name, 3, **config.model.options)
    model.compile(**ctx.training.default_compile(model))

    def make(averages, last, best):
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        word = "0.5" if averages else "null"
        changed = plan.config(plan.jobs[0], [f"training.ema_momentum={word}"])
        save_config(changed, folder / "config.yaml")
        for name, step in (("last", last), ("best", best)):
            path = folder / "checkpoints" / f"{name}.keras"
            save_checkpoint(model, path, TrainingState(1, step))
        return folder

    return make


def test_the_last_steps_weights_count(trained):
    from bakeoff_parts.child import last_weights

    assert last_weights(trained(averages=False, last=9, best=4)).name == "last.keras"
    assert last_weights(trained(averages=True, last=9, best=9)).name == "best.keras"
    with pytest.raises(ValueError, match=r"best.keras: expected the weights of the last step"):
        last_weights(trained(averages=True, last=9, best=4))


@pytest.mark.whole
def test_the_most_disputed_images_are_drawn(plan_file, keep_made_up, trained, tmp_path):
    from bakeoff_parts import pictures
    from bakeoff_parts.plan import read_plan

    write_folder(tmp_path / "images", 3, count=3)
    for name in ("plain", "wide"):
        path = plan_file.parent / "shapes" / f"{name}.yaml"
        path.write_text(path.read_text().replace("path: images", f"path: {tmp_path / 'images'}"))
    listed = plan_file.read_text().replace(
        "size: [48, 64]", "size: [48, 64]\n    pictured: [plain, wide]"
    )
    plan_file.write_text(listed)
    plan, kept = read_plan(plan_file), tmp_path / "kept"
    folder = trained(averages=False, last=9, best=9)
    keep_made_up(plan.jobs[0], MATRICES)
    path = tmp_path / "picture.png"
    assert pictures.draw(plan, "shapes", kept, tmp_path / "runs", path) is None
    other = MATRICES.copy()
    other[1] = other[1, :, ::-1]  # image 1 is the one that the two dispute
    keep_made_up(plan.jobs[2], other)
    wide = tmp_path / "runs" / "shapes" / "wide" / "seed0"
    wide.parent.mkdir(parents=True)
    wide.symlink_to(folder)
    pictures.IMAGES, before = 1, pictures.IMAGES
    try:
        assert pictures.draw(plan, "shapes", kept, tmp_path / "runs", path) == path
    finally:
        pictures.IMAGES = before
    drawn = np.asarray(Image.open(path).convert("RGB"))
    photo = np.asarray(Image.open(tmp_path / "images" / "val" / "images" / "1.jpg"))
    # The first column is that image: its colours, enlarged, are all in the picture.
    colours = {tuple(colour) for colour in drawn.reshape(-1, 3)}
    assert np.mean([tuple(colour) in colours for colour in photo.reshape(-1, 3)]) > 0.99
