"""The trained model that comes with the repository answers, and as well as its card says."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

import keras_ctxseg as ctx

FOLDER = Path(__file__).parent.parent / "saved_models" / "context_scenes_ksac"
LITERT = FOLDER / "context_scenes_ksac_96x128_full_int8.tflite"


@pytest.mark.parametrize("path", [FOLDER, LITERT], ids=["saved_model", "litert"])
def test_scenes_are_labelled(path):
    model = ctx.export.load(path)
    dataset = ctx.data.load("context_scenes")
    assert model.class_names == list(dataset.class_names)
    examples = list(dataset.examples("val").take(16).as_numpy_iterator())
    labels = np.stack(list(model.predict([example["image"] for example in examples])))
    truth = np.stack([example["label"] for example in examples])
    valid = truth != dataset.ignore_label
    # 78.4 % on all of the split.
    assert jaccard_score(truth[valid], labels[valid], average="macro") > 0.75
