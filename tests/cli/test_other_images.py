"""Sets of 12-bit grey TIFF, four-band GeoTIFF and ten-band NumPy files through every command."""

import json

import keras
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

import keras_ctxseg as ctx
from keras_ctxseg.cli import main
from keras_ctxseg.export.loading.load import load
from keras_ctxseg.runs import assembly

SIZE = (40, 48)
GEOGRAPHY = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 4649776.0, 0.0), True),
    (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
]

pytestmark = pytest.mark.filterwarnings("ignore")


def build(name, num_classes, weights=None, input_shape=(None, None, 3), **options):
    images = keras.Input(input_shape, name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(images)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="backbone_conv")(x)
    logits = keras.layers.Conv2D(num_classes, 1, name="classify")(x)
    return ctx.models.SegmentationModel(images, {"logits": logits}, name="tiny")


def grey_tiff(path, levels, random):
    values = 1000 + 800 * levels + random.normal(0, 60, levels.shape)
    tifffile.imwrite(path.with_suffix(".tif"), np.clip(values, 0, 4095).astype(np.uint16))


def geotiff(path, levels, random):
    values = 3000 + 2500 * np.stack([levels, -levels, 1 - levels, levels], -1)
    values = np.clip(values + random.normal(0, 200, values.shape), 0, 10000).astype(np.uint16)
    tifffile.imwrite(
        path.with_suffix(".tif"), values, photometric="minisblack", planarconfig="contig",
        compression="zlib", extratags=GEOGRAPHY,
    )  # fmt: skip


def numpy_bands(path, levels, random):
    values = np.stack([levels * (-1) ** band for band in range(10)], -1)
    np.save(path.with_suffix(".npy"), values + random.normal(0, 0.2, values.shape))


KINDS = {
    "grey12": (grey_tiff, {"range": "auto"}, 3),
    "geotiff": (geotiff, {"range": [0, 10000], "show": [4, 2, 1]}, 4),
    "numpy": (numpy_bands, {"range": "auto"}, 10),
}


def write_set(root, write):
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for number in range(count):
            ids = np.repeat(random.integers(0, 3, (5, 6)), 8, 0).repeat(8, 1).astype(np.uint8)
            write(root / split / "images" / f"{number}", ids - 1.0, random)
            Image.fromarray(ids).save(root / split / "labels" / f"{number}.png")
    (root / "classes.json").write_text(json.dumps({"classes": ["low", "middle", "high"]}))


@pytest.mark.parametrize(
    "kind", ["grey12", pytest.param("geotiff", marks=pytest.mark.whole),
             pytest.param("numpy", marks=pytest.mark.whole)],
)  # fmt: skip
def test_every_command(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(assembly, "build", build)
    write, options, channels = KINDS[kind]
    write_set(tmp_path / "data", write)
    recipe = {
        "name": "run",
        "model": {"name": "tiny"},
        "data": {"name": "folder", "options": {"path": str(tmp_path / "data"), **options}},
        "augmentation": {"crop_size": list(SIZE)},
        "training": {"batch_size": 2, "epochs": 12, "optimizer": "adamw", "learning_rate": 0.02,
                     "validate_every": 12},
        "export": {"directory": str(tmp_path / "saved"), "warm_up": 0},
        "output_dir": str(tmp_path / "runs"),
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    shown = ["--range", json.dumps(options["range"]).strip('"')]
    assert main(["check-data", str(tmp_path / "data"), *shown]) == 0
    assert f"channels      {channels}" in capsys.readouterr().out
    if kind == "grey12":
        main(["check-data", str(tmp_path / "data")])
        assert "16-bit values of" in capsys.readouterr().out
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 0
    kept = json.loads((tmp_path / "runs/run/classes.json").read_text())["images"]
    assert np.shape(kept["range"])[-1] == 2
    # What a range is measured on may be gone.
    classes = tmp_path / "data" / "classes.json"
    classes.write_text(json.dumps({"classes": ["low", "middle", "high"]}))
    assert main(["evaluate", str(tmp_path / "runs/run")]) == 0
    scores = json.loads((tmp_path / "runs/run/evaluation/val/scores.json").read_text())
    assert scores["mean_iou"] > 0.7
    images = tmp_path / "data/val/images"
    assert main(["predict", str(tmp_path / "runs/run"), str(images), "--output",
                 str(tmp_path / "predicted")]) == 0  # fmt: skip
    assert main(["export", str(tmp_path / "runs/run")]) == 0
    exported = load(tmp_path / "saved/run")
    for path in images.iterdir():
        with Image.open(tmp_path / "predicted/labels" / f"{path.stem}.png") as found:
            labels = np.asarray(found)
        with Image.open(tmp_path / "data/val/labels" / f"{path.stem}.png") as mask:
            assert (labels == np.asarray(mask)).mean() > 0.8
        assert (exported.predict(path)[0] == labels).mean() > 0.999
        assert Image.open(tmp_path / "predicted/overlays" / f"{path.stem}.jpg").mode == "RGB"
