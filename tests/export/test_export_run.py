import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctxseg as ctx
from keras_ctxseg.export import litert_operations
from keras_ctxseg.export.run import export_run
from keras_ctxseg.training import (
    DataConfig,
    ExportConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)
from keras_ctxseg.training.assembly import build_model


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


@pytest.mark.slow
def test_a_real_model_of_mixed_precision_becomes_both_files(config, tmp_path):
    model = build_model(config, num_classes=3)
    assert any(layer.compute_dtype == "bfloat16" for layer in model.layers)
    checkpoint = config.directory / "checkpoints" / "best.keras"
    checkpoint.parent.mkdir(parents=True)
    model.save(checkpoint)

    saved_model, litert = export_run(config)

    served = tmp_path / "served" / "tiny"
    assert saved_model.path == served / "1"
    assert litert.path == served / "tiny_40x48.tflite"
    # Only one validation image is there, of the eight asked for.
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
