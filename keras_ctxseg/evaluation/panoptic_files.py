"""Truth and predictions of an evaluation in COCO's format, so that panopticapi can score them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.evaluation.evaluator import Evaluator
from keras_ctxseg.prediction.coco_panoptic import CocoPanopticWriter


def segment_files(
    evaluator: Evaluator, dataset: SegmentationDataset, folder: Path
) -> list[CocoPanopticWriter]:
    """Has the evaluator's next call write each image's segments.

    Args:
        evaluator: of a panoptic model.
        dataset: what it evaluates.
        folder: gets `truth/`, `predictions/`, and beside each a JSON file once it is closed.

    Returns:
        The two writers, to be closed after the evaluation.

    Raises:
        ValueError: an evaluator that does not tell instances apart.
    """
    if not evaluator.thing_classes:
        raise ValueError("`--segments`: expected a run of a panoptic model, on a panoptic data set")
    classes = dataset.class_names, dataset.palette, dataset.thing_classes
    truth, predictions = (
        CocoPanopticWriter(folder / name, *classes, ignore_label=dataset.ignore_label)
        for name in ("truth", "predictions")
    )

    def write(name: str, label: np.ndarray, prediction: np.ndarray) -> None:
        truth.add(name, label)
        predictions.add(name, prediction)

    evaluator.on_segments = write
    return [truth, predictions]
