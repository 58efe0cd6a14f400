"""`scores.json`: everything that an evaluation found, for tables, reports and comparisons.

    format              2
    source              {checkpoint: its path, from this file's folder or absolute; split,
                        overrides: ["key=value"], data: path of a recipe or null}, what
                        `ctxseg evaluate` was told; only in files that it wrote
    mean_iou, pixel_accuracy, mean_accuracy, mean_precision, mean_f1, frequency_weighted_iou
    mean_iou_policies   {left_out, zero, with_background, without_background}
    ade20k_score        (mean IoU with absent classes as 0 + pixel accuracy) / 2
    mean_image_iou      mean over images of each image's own mean IoU
    boundary_iou        mean over classes, contours 2 % of the diagonal wide; null without details
    calibration_error   expected calibration error; null without details
    num_images, valid_pixels, ignore_label, absent_classes, absent_classes_policy
    classes             [{id, name, present, iou, iou_interval, f1, precision, accuracy (recall),
                          boundary_iou, label_pixels, predicted_pixels}]
    intervals           {level, resamples, seed, block, method, scores: {name: [low, high]}}, where
                        name is any of the figures above (policies as "mean_iou_policies.zero");
                        null where there are fewer than two images
    boundary            {fraction, distances: [pixels], pixels: [share of the valid pixels],
                        trimap_mean_iou, trimap_intervals, boundary_iou, boundary_iou_intervals},
                        each list as long as distances; null without details
    calibration         {edges: [bins + 1], pixels, confidence, accuracy: [bins],
                        expected_error, maximum_error}; confidence and accuracy are null in empty
                        bins; null without details
    panoptic            {all, things, stuff: {pq, sq, rq, classes},
                        classes: [{id, name, is_thing, pq, sq, rq, iou: of matched pairs, summed,
                        matched, missed, invented}]}; only of panoptic models
    protocol            {name, scales, flip, average, window, stride, blend, pad_to_window}
    confusion           {rows: "label", columns: "prediction", unit: "pixels", matrix}
    images              [{name, height, width, valid_pixels, mean_iou, pixel_accuracy,
                          confusion:   {cells, counts}: cell = label * classes + prediction,
                          boundary:    {classes, intersection, label, prediction} | null,
                          calibration: {pixels, confidence, right} | null}] in the order of the
                        examples; counts are whole pixels, confidence is summed over the bin
    seconds

Shares are in 0 ... 1; null stands where a score does not exist. Everything in `intervals`,
`boundary` and `calibration` follows from the images' counts, so that two files over the same
images can be compared image by image.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from keras_ctxseg.evaluation.image_counts import DIAGONAL_SHARE
from keras_ctxseg.evaluation.panoptic_summary import panoptic_to_dict
from keras_ctxseg.evaluation.scored_images import ScoredImages

FORMAT = 2

ABSENT_POLICY = (
    "Classes that neither the label maps nor the predictions show are absent and left out of the "
    "mean IoU. A class that is predicted but never a label counts with IoU 0. The mean accuracy "
    "runs over the classes that the label maps show."
)


def scores_to_dict(result: ScoredImages, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All figures as plain Python values; None stands where a score does not exist."""
    scores, intervals = result.scores, result.intervals
    return {
        "format": FORMAT,
        **({"source": dict(source)} if source else {}),
        "mean_iou": _plain(scores.mean_iou),
        "pixel_accuracy": _plain(scores.pixel_accuracy),
        "mean_accuracy": _plain(scores.mean_accuracy),
        "mean_precision": _plain(scores.mean_precision),
        "mean_f1": _plain(scores.mean_f1),
        "frequency_weighted_iou": _plain(scores.frequency_weighted_iou),
        "mean_iou_policies": _plain(dict(scores.mean_iou_policies)),
        "ade20k_score": _plain(scores.ade20k_score),
        "mean_image_iou": _plain(result.mean_image_iou),
        "boundary_iou": _plain(result.boundary.mean_iou if result.boundary else None),
        "calibration_error": _plain(
            result.calibration.expected_error if result.calibration else None
        ),
        "num_images": len(result.images),
        "valid_pixels": int(result.confusion.sum()),
        "ignore_label": result.ignore_label,
        "absent_classes": list(result.absent_classes),
        "absent_classes_policy": ABSENT_POLICY,
        "classes": _classes(result),
        "intervals": None
        if intervals is None
        else {
            "level": intervals.level,
            "resamples": intervals.resamples,
            "seed": intervals.seed,
            "block": intervals.block,
            "method": "percentiles of a bootstrap over images",
            "scores": _plain(intervals.scores),
        },
        "boundary": _boundary(result),
        "calibration": None if result.calibration is None else _plain(asdict(result.calibration)),
        **(
            {"panoptic": _plain(panoptic_to_dict(result.panoptic, result.class_names))}
            if result.panoptic
            else {}
        ),
        "protocol": result.protocol.to_dict(),
        "confusion": {
            "rows": "label",
            "columns": "prediction",
            "unit": "pixels",
            "matrix": result.confusion.tolist(),
        },
        "images": [
            {**_plain(asdict(image)), **(counts.to_dict() if counts else {})}
            for image, counts in zip(
                result.images, result.counts or [None] * len(result.images), strict=True
            )
        ],
        "seconds": round(result.seconds, 3),
    }


def scores_to_text(values: dict[str, Any]) -> str:
    """JSON without NaN; a line for each figure, class, image and row of the confusion matrix."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and "matrix" in value:
            rows = ",\n  ".join(map(_json, value["matrix"]))
            head = _json({k: v for k, v in value.items() if k != "matrix"})
            text = f'{head[:-1]}, "matrix": [\n  {rows}\n ]}}'
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(map(_json, value)) + "\n ]"
        else:
            text = _json(value)
        lines.append(f" {_json(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}"


def _classes(result: ScoredImages) -> list[dict[str, Any]]:
    scores, intervals, boundary = result.scores, result.intervals, result.boundary
    labelled, predicted = result.confusion.sum(axis=1), result.confusion.sum(axis=0)
    return [
        {
            "id": k,
            "name": name,
            "present": bool(scores.present[k]),
            "iou": _plain(scores.per_class_iou[k]),
            "iou_interval": None if intervals is None else _plain(intervals.per_class_iou[k]),
            "f1": _plain(scores.per_class_f1[k]),
            "precision": _plain(scores.per_class_precision[k]),
            "accuracy": _plain(scores.per_class_accuracy[k]),
            "boundary_iou": None if boundary is None else _plain(boundary.per_class_iou[k]),
            "label_pixels": int(labelled[k]),
            "predicted_pixels": int(predicted[k]),
        }
        for k, name in enumerate(result.class_names)
    ]


def _boundary(result: ScoredImages) -> dict[str, Any] | None:
    if result.boundary is None:
        return None
    values = _plain(asdict(result.boundary))
    del values["mean_iou"], values["per_class_iou"]
    return {"fraction": DIAGONAL_SHARE, **values}


def _plain(value):
    """NumPy's values as Python's, NaN as None, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
