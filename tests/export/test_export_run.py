import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_ctxseg as ctx
from keras_ctxseg.cli import main
from keras_ctxseg.export import litert_operations
from keras_ctxseg.export.run import export_run
from keras_ctxseg.runs.assembly import build_model
from keras_ctxseg.runs.config_file import save_config
from keras_ctxseg.runs.run_directory import RunDirectory
from keras_ctxseg.training import (
    DataConfig,
    ExportConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)


@pytest.fixture
def config(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, shape in (("images", (70, 90, 3)), ("labels", (70, 90))):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            pixels = random.integers(0, 3, shape, dtype=np.uint8) * (80 if kind == "images" else 1)
            Image.fromarray(pixels).save(folder / "0.png")
    classes = {"classes": ["sky", "road", "car"]}
    (tmp_path / "data" / "classes.json").write_text(json.dumps(classes))
    return RunConfig(
        name="tiny",
        model=ModelConfig("ksac_mobilenet_v2", options={"width": 0.25, "filters": 16}),
        data=DataConfig("folder", options={"path": str(tmp_path / "data")}, image_scale=0.5),
        training=TrainingConfig(precision="mixed_bfloat16"),
        export=ExportConfig(str(tmp_path / "served"), litert=True, input_size=(40, 48)),
        output_dir=str(tmp_path / "runs"),
    )


@pytest.mark.whole
def test_a_real_model_of_mixed_precision_becomes_both_files(config, tmp_path):
    model = build_model(config, num_classes=3)
    assert any(layer.compute_dtype == "bfloat16" for layer in model.layers)
    checkpoint = config.directory / "checkpoints" / "best.keras"
    checkpoint.parent.mkdir(parents=True)
    model.save(checkpoint)
    save_config(config, config.directory / "config.yaml")
    scores = config.directory / "evaluation" / "val" / "scores.json"
    scores.parent.mkdir(parents=True)
    scores.write_text('{"mean_iou": 0.4321}')

    saved_model, litert = export_run(dataclasses.replace(config, name="small"), checkpoint)

    served = tmp_path / "served" / "small"
    assert saved_model.path == served / "1"
    card = (served / "1" / "assets.extra" / "model_card.md").read_text()
    assert "`best.keras` of the run `tiny`" in card
    assert "Mean IoU: 43.21 % on `val`" in card
    assert f"`ctxseg export {config.directory} --name small`" in card
    assert litert.path == served / "small_40x48.tflite"
    # Only one validation image is there, of those asked for.
    assert saved_model.parity.images == litert.parity.images == 1
    assert saved_model.parity.pixels == 70 * 90
    for export in (saved_model, litert):
        assert export.parity.max_softmax_difference < 1e-4
    assert not [name for name in litert_operations(litert.path) if "custom" in name]
    labels = json.loads((saved_model.path / "assets.extra" / "labels.json").read_text())
    assert labels["class_names"] == ["sky", "road", "car"]
    assert labels["image_scale"] == 0.5
    assert keras.config.dtype_policy().name == "float32"


def test_a_checkpoint_of_other_classes(config):
    model = ctx.models.build("ksac_mobilenet_v2", 5, width=0.25, filters=16)
    checkpoint = config.directory / "five.keras"
    checkpoint.parent.mkdir(parents=True)
    model.save(checkpoint)
    with pytest.raises(ValueError, match="predicts 5 classes, the data and configuration have 3"):
        list(export_run(config, checkpoint))
    with pytest.raises(ValueError, match="no checkpoint"):
        list(export_run(dataclasses.replace(config, name="untrained")))


@pytest.mark.whole
def test_bfloat16_and_onnx_by_the_command(config, tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    config = dataclasses.replace(
        config,
        name="low",
        model=ModelConfig("fcn_mobilenet_v2", options={"width": 0.25, "filters": 16}),
        training=TrainingConfig(),
        export=ExportConfig(str(tmp_path / "served")),
    )
    model = build_model(config, num_classes=3)
    # Random scores are nearly tied, which bfloat16 would decide: this network is sure of itself.
    (classifier,) = [layer for layer in model.layers if layer.name == "logits_classifier"]
    classifier.bias.assign([0.0, 1.0, 0.0])
    run = RunDirectory(config.directory)
    run.best.parent.mkdir(parents=True)
    for checkpoint, changes, mean_iou in ((run.best, (), 0.9), (run.last, ("last",), 0.4321)):
        model.save(checkpoint)
        scores = run.evaluation("val", changes) / "scores.json"
        scores.parent.mkdir(parents=True)
        scores.write_text(f'{{"mean_iou": {mean_iou}}}')
    save_config(config, config.directory / "config.yaml")

    assert main(["export", str(run.last), "--bfloat16", "--onnx", "--size", "40x48"]) == 0

    printed = capsys.readouterr().out
    path = tmp_path / "served" / "low" / "1"
    assert f"SavedModel {path}" in printed
    assert f"ONNX       {tmp_path / 'served' / 'low' / 'low_40x48.onnx'}" in printed
    assert ".tflite" not in printed
    loaded = tf.saved_model.load(str(path))
    functions = loaded.signatures["logits"].graph.as_graph_def().library.function
    kinds = {
        node.attr["T"].type for each in functions for node in each.node_def if node.op == "Conv2D"
    }
    assert kinds == {tf.bfloat16.as_datatype_enum}
    images = np.random.default_rng(1).uniform(0, 255, (1, 70, 90, 3)).astype("float32")
    logits = loaded.signatures["logits"](images=tf.constant(images))["logits"].numpy()
    half = tf.image.resize(images, (35, 45))
    exact = tf.image.resize(model(half, training=False)["logits"], (70, 90)).numpy()
    error = np.abs(logits - exact).max()
    assert 0 < error < 0.05 * np.abs(exact).max()
    card = (path / "assets.extra" / "model_card.md").read_text()
    assert "mixed_bfloat16" in card
    assert "Mean IoU: 43.21 % on `val`" in card  # of this checkpoint
