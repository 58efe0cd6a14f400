"""One small run through every command; `quickstart`, which chains them, makes it."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctxseg as ctx
from keras_ctxseg.cli import main

COLORS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)

RECIPE = """
name: trial
model:
  name: fcn_mobilenet_v2
  options: {{width: 0.25, filters: 8}}
data:
  name: folder
  options: {{path: {root}/data}}
augmentation:
  crop_size: [40, 48]
training:
  batch_size: 2
  epochs: 1
  overlay_images: 1
export:
  directory: {root}/saved_models
output_dir: {root}/runs
"""


TWIN = """
base: recipe.yaml
name: twin
model: {options: {context_free_from: 2}}
"""


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """A folder with a tiny data set, two recipes and their runs, and what the command printed."""
    root = tmp_path_factory.mktemp("path")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for kind in ("images", "labels"):
            (root / "data" / split / kind).mkdir(parents=True)
        for index in range(count):
            label = rng.integers(0, 3, (6, 7)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
            image = COLORS[label] + rng.integers(0, 40, (*label.shape, 3))
            name = f"{index}.png"
            Image.fromarray(image.astype(np.uint8)).save(root / "data" / split / "images" / name)
            Image.fromarray(label).save(root / "data" / split / "labels" / name)
    classes = {"classes": ["red", "green", "blue"], "palette": COLORS.tolist()}
    (root / "data/classes.json").write_text(json.dumps(classes))
    recipe, twin = root / "recipe.yaml", root / "twin.yaml"
    recipe.write_text(RECIPE.format(root=root))
    twin.write_text(TWIN)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["quickstart", "--config", str(recipe), "--twin", str(twin)]) == 0
    return root, printed.getvalue()


@pytest.fixture(scope="module")
def root(quickstart):
    return quickstart[0]


def test_quickstart_shows_both_scores_and_all_that_it_made(quickstart):
    root, printed = quickstart
    table = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    scores = {}
    for name in ("trial", "twin"):
        text = (root / "runs" / name / "evaluation/val/scores.json").read_text()
        scores[name] = 100 * json.loads(text)["mean_iou"]
        assert float(table[name][-1]) == pytest.approx(scores[name], abs=0.006)
    assert table["trial"][0] == table["twin"][0]  # as many parameters
    assert float(table["what"][-1]) == pytest.approx(scores["trial"] - scores["twin"], abs=0.011)
    for kind in ("report", "overlays", "checkpoint", "SavedModel", "LiteRT"):
        assert Path(table[kind][0]).exists()
    assert len(list((root / "runs/trial/predictions/overlays").glob("*.jpg"))) == 2
    assert printed.count("labels agree on 100.000 %") == 2


def test_train_leaves_the_run(root):
    run = root / "runs/trial"
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "classes.json", "checkpoints", "log.csv", "tensorboard"} <= names
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.keras", "last.keras"}


def test_evaluate_writes_scores_and_report(root, capsys):
    run = root / "runs/trial"
    assert main(["evaluate", str(run)]) == 0
    assert "green" in capsys.readouterr().out
    scores = json.loads((run / "evaluation/val/scores.json").read_text())
    logged = (run / "log.csv").read_text().splitlines()
    column = logged[0].split(",").index("val_mean_iou")
    assert scores["mean_iou"] == pytest.approx(float(logged[1].split(",")[column]), abs=1e-6)
    report = (run / "evaluation/val/report.html").read_text()
    assert "blue" in report and "fcn_mobilenet_v2" in report


@pytest.mark.whole
def test_comparison_shows_what_was_scored(root, tmp_path, capsys):
    """The pictures come from the split, checkpoint and overrides of each `scores.json`, also
    where the runs have moved since, and name what is missing where they cannot."""
    last = str(root / "runs/trial/checkpoints/last.keras")
    assert main(["evaluate", last, "--split", "train", "data.image_scale=0.8"]) == 0
    assert main(["evaluate", str(root / "runs/twin"), "--split", "train"]) == 0
    scored = {"trial": "train+last+image_scale=0.8", "twin": "train"}
    for name, folder in scored.items():
        shutil.copytree(root / "runs" / name, tmp_path / name)
        scored[name] = tmp_path / name / "evaluation" / folder
    written = json.loads((scored["trial"] / "scores.json").read_text())
    assert written["num_images"] == 4
    assert written["source"] == {
        "checkpoint": "../../checkpoints/last.keras",
        "split": "train",
        "overrides": ["data.image_scale=0.8"],
        "data": None,
    }
    report = tmp_path / "compare.html"
    words = ["compare", *(f"{name}={folder}" for name, folder in scored.items())]
    capsys.readouterr()
    assert main([*words, "--html", str(report)]) == 0
    assert capsys.readouterr().err == ""
    assert report.read_text().count(">errors of trial<") == 4
    (tmp_path / "trial/checkpoints/last.keras").unlink()
    assert main([*words, "--html", str(report)]) == 0
    assert "last.keras: there is no such run" in capsys.readouterr().err


@pytest.mark.whole
def test_protocols_reach_evaluation_and_prediction(root, tmp_path):
    """Flags on top of a named protocol, in both commands; the figures are the API's own."""
    run = root / "runs/trial"
    flags = ["--protocol", "encnet", "--scales", "0.8,1", "--stride", "20", "--blend", "gaussian"]
    own = (run / "evaluation/val/scores.json").read_bytes()
    assert main(["evaluate", str(run), *flags]) == 0
    folder = "val+protocol=encnet+scales=0.8,1.0+stride=20,20+blend=gaussian"
    written = json.loads((run / "evaluation" / folder / "scores.json").read_text())
    assert (run / "evaluation/val/scores.json").read_bytes() == own
    assert written["protocol"] == {
        "name": "encnet, changed",
        "scales": [0.8, 1.0],
        "flip": True,
        "average": "probabilities",
        "window": [40, 48],  # the training crop
        "stride": [20, 20],
        "blend": "gaussian",
        "pad_to_window": True,
    }
    image = root / "data/val/images/0.png"
    output = tmp_path / "out"
    assert main(["predict", str(run), str(image), *flags, "--output", str(output)]) == 0
    model = keras.models.load_model(run / "checkpoints/best.keras", compile=False)
    predictor = ctx.evaluation.Predictor(
        model,
        scales=(0.8, 1.0),
        flip=True,
        window=(40, 48),
        stride=(20, 20),
        blend="gaussian",
        pad_to_window=True,
    )
    labels = predictor.label(np.asarray(Image.open(image).convert("RGB")))
    np.testing.assert_array_equal(np.asarray(Image.open(output / "labels/0.png")), labels)
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (np.asarray(Image.open(root / "data/val/labels/0.png")), labels), 1)
    found = np.zeros(9, int)
    found[written["images"][0]["confusion"]["cells"]] = written["images"][0]["confusion"]["counts"]
    np.testing.assert_array_equal(found.reshape(3, 3), matrix)


def test_the_installed_command_predicts_without_the_data_set(root, tmp_path):
    """The command itself, not `main`: it registers no classes when it starts, and its
    checkpoints must load all the same."""
    run = shutil.copytree(root / "runs/trial", tmp_path / "moved")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(f"{root}/data", f"{root}/gone"))
    output = tmp_path / "out"
    images = str(root / "data/val/images/*.png")
    command = Path(sys.executable).with_name("ctxseg")
    arguments = ["predict", str(run), images, "--output", str(output)]
    result = subprocess.run([command, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    with Image.open(output / "labels/0.png") as label:
        assert label.size == (56, 48)
        assert label.getpalette()[:9] == COLORS.ravel().tolist()
    assert (output / "overlays/1.jpg").is_file()


@pytest.mark.whole
def test_predict_skips_what_it_cannot_read(root, tmp_path, capsys):
    good, bad = root / "data/val/images/0.png", tmp_path / "bad.png"
    bad.write_bytes(b"")
    arguments = ["predict", str(root / "runs/trial"), str(good), "--output", str(tmp_path / "out")]
    assert main([*arguments, str(bad)]) == 1
    assert f"ctxseg: skipped: {bad}" in capsys.readouterr().err
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 1


@pytest.mark.whole
def test_export_takes_another_name_and_version(root, capsys):
    arguments = ["--name", "tiny", "--version", "7"]
    assert main(["export", str(root / "runs/trial"), *arguments]) == 0
    assert (root / "saved_models/tiny/7/saved_model.pb").is_file()
    assert capsys.readouterr().out.count("labels agree on 100.000 %") == 1


def test_other_classes_than_the_checkpoints_are_refused(root, tmp_path, capsys):
    data = shutil.copytree(root / "data", tmp_path / "data")
    classes = {"classes": ["red", "green", "blue", "extra"]}
    (data / "classes.json").write_text(json.dumps(classes))
    checkpoint = str(root / "runs/trial/checkpoints/best.keras")
    override = f"data.options.path={data}"
    for command in (["evaluate", checkpoint, override], ["export", checkpoint, override]):
        assert main(command) == 2
        message = capsys.readouterr().err
        assert "`num_classes` disagrees" in message and "best.keras predicts 3 classes" in message


@pytest.mark.whole
def test_training_starts_from_a_checkpoint_of_other_classes(root, tmp_path, caplog):
    """All but the classifier is taken over, and the log says so."""
    data = shutil.copytree(root / "data", tmp_path / "data")
    classes = {"classes": ["red", "green", "blue", "extra"]}
    (data / "classes.json").write_text(json.dumps(classes))
    checkpoint = str(root / "runs/trial/checkpoints/best.keras")
    override = f"data.options.path={data}"
    start = ["name=tuned", override, f"model.weights={checkpoint}", f"output_dir={tmp_path}"]
    assert main(["train", str(root / "recipe.yaml"), *start, "training.steps=1"]) == 0
    assert "another number of classes: logits_classifier" in caplog.text
