"""The script's parts, and made-up runs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT / "benchmarks") not in sys.path:
    sys.path.append(str(ROOT / "benchmarks"))

RECIPE = """
name: {name}
model: {{name: fcn_mobilenet_v2, options: {{width: 0.35, filters: {filters}, output_stride: 16}}}}
data: {{name: folder, options: {{path: images}}}}
augmentation: {{crop_size: [33, 33]}}
training: {{batch_size: 2, epochs: {epochs}, validate_every: {epochs}, ema_momentum: 0.5,
           overlay_images: 0}}
"""
PLAN = """
data:
  shapes:
    size: [48, 64]
    pairs: [{baseline: plain, other: wide, question: does width help}]
    questions: [[class_0, class_1], [class_1, class_2]]
  words: {size: [33, 33]}
order:
  - {data: shapes, seeds: [0, 1], recipes: [plain]}
  - {data: shapes, seeds: [0], recipes: [wide]}
  - {data: words, seeds: [3], recipes: [long]}
"""


@pytest.fixture
def plan_file(tmp_path):
    """A plan of three recipes; `long` lies where a data set's own recipes lie."""
    bakeoff = tmp_path / "configs" / "bakeoff"
    (bakeoff / "shapes").mkdir(parents=True)
    (tmp_path / "configs" / "words").mkdir()
    for path, filters, epochs in (
        (bakeoff / "shapes" / "plain.yaml", 8, 2),
        (bakeoff / "shapes" / "wide.yaml", 12, 2),
        (tmp_path / "configs" / "words" / "long.yaml", 8, 12),
    ):
        path.write_text(RECIPE.format(name=path.stem, filters=filters, epochs=epochs))
    (bakeoff / "plan.yaml").write_text(PLAN)
    return bakeoff / "plan.yaml"


@pytest.fixture
def plan(plan_file):
    from bakeoff_parts.plan import read_plan

    return read_plan(plan_file)


@pytest.fixture
def keep_made_up(plan, tmp_path):
    """A function that keeps a run with the given confusion matrices, (images, classes, classes)."""
    from bakeoff_parts.runs import Kept

    from keras_ctxseg.benchmark.results import machine
    from keras_ctxseg.runs.config_file import save_config

    def make(job, matrices, giga=1.0, parameters=1000, minutes=2.0, class_iou=None,
             processor=None):  # fmt: skip
        kept = Kept(tmp_path / "kept", job)
        kept.folder.mkdir(parents=True)
        save_config(plan.config(job), kept.config)
        kept.scores.write_text(json.dumps(_scores(np.asarray(matrices), class_iou)))
        outcome = {
            "processor_seconds": 60 * minutes,
            "multiply_adds": giga * 1e9,
            "parameters": parameters,
            "machine": {"processor": processor or machine()["processor"]},
        }
        kept.outcome.write_text(json.dumps(outcome))
        return kept

    return make


def mean_iou(matrices) -> float:
    """Of one confusion matrix or of several added up; all classes occur."""
    total = np.asarray(matrices).reshape(-1, *np.shape(matrices)[-2:]).sum(axis=0)
    return float(np.mean(np.diag(total) / (total.sum(0) + total.sum(1) - np.diag(total))))


def _scores(matrices, class_iou):
    images, classes = matrices.shape[:2]
    class_iou = class_iou or [0.1 * (k + 1) for k in range(classes)]
    cells = list(range(classes * classes))
    return {
        "format": 2,
        "ignore_label": 255,
        "mean_iou": mean_iou(matrices),
        "protocol": {"name": "whole_image", "scales": [1.0]},
        "classes": [{"id": k, "name": f"class_{k}", "iou": class_iou[k]} for k in range(classes)],
        "images": [
            {
                "name": str(k),
                "height": 10,
                "width": 10,
                "mean_iou": mean_iou(matrices[k]),
                "confusion": {"cells": cells, "counts": matrices[k].ravel().tolist()},
            }
            for k in range(images)
        ],
    }
