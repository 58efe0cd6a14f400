"""The trained models that come with the repository answer, and as well as the README says."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

import keras_ctxseg as ctx

SAVED_MODELS = Path(__file__).parent.parent / "saved_models"
SCENES = SAVED_MODELS / "context_scenes_ksac"
STREETS = SAVED_MODELS / "camvid_spinenet_seg/camvid_spinenet_seg_180x240_full_int8.tflite"


def _mean_iou(model, dataset, count):
    examples = list(dataset.examples("val").take(count).as_numpy_iterator())
    labels = np.stack(list(model.predict([example["image"] for example in examples])))
    truth = np.stack([example["label"] for example in examples])
    valid = truth != dataset.ignore_label
    return jaccard_score(truth[valid], labels[valid], average="macro")


@pytest.mark.parametrize(
    "path",
    [SCENES, SCENES / "context_scenes_ksac_96x128_full_int8.tflite"],
    ids=["saved_model", "litert"],
)
def test_scenes_are_labelled(path):
    model = ctx.export.load(path)
    dataset = ctx.data.load("context_scenes")
    assert model.class_names == list(dataset.class_names)
    assert _mean_iou(model, dataset, 16) > 0.75  # 78.4 % on all of the split


def test_streets_are_labelled_at_their_own_size(rng):
    model = ctx.export.load(STREETS)
    assert model.class_names == [
        "sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car",
        "pedestrian", "bicyclist",
    ]  # fmt: skip
    sizes = [(180, 240), (97, 301)]
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    for labels, size in zip(model.predict(images), sizes, strict=True):
        assert labels.shape == size
        assert labels.max() < 11


def test_streets_of_camvid(camvid):
    dataset = ctx.data.load("folder", path=camvid)
    assert _mean_iou(ctx.export.load(STREETS), dataset, -1) == pytest.approx(0.587, abs=0.005)
