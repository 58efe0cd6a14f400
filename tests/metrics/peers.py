"""Scores of label maps as other packages compute them; each skips where its package is missing.

`labels` and `predictions` are lists of (height, width) class ids, 255 ignored. Every function
returns a dict with some of our scores by their names.
"""

import numpy as np
import pytest


def _flat(labels, predictions):
    pairs = [
        (label[label != 255], ids[label != 255])
        for label, ids in zip(labels, predictions, strict=True)
    ]
    return (np.concatenate(parts) for parts in zip(*pairs, strict=True))


def scikit_learn(labels, predictions, classes):
    from sklearn import metrics

    labels, predictions = _flat(labels, predictions)
    shown = np.union1d(labels, predictions)
    ious = metrics.jaccard_score(
        labels, predictions, labels=range(classes), average=None, zero_division=0
    )
    return {
        "per_class_iou": np.where(np.isin(range(classes), shown), ious, np.nan),
        "mean_iou": metrics.jaccard_score(labels, predictions, labels=shown, average="macro"),
        "pixel_accuracy": metrics.accuracy_score(labels, predictions),
        "mean_accuracy": metrics.recall_score(
            labels, predictions, labels=np.unique(labels), average="macro"
        ),
        "frequency_weighted_iou": metrics.jaccard_score(labels, predictions, average="weighted"),
    }


def torchmetrics(labels, predictions, classes):
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    options = {"num_classes": classes, "ignore_index": 255, "validate_args": False}
    wanted = {
        "mean_iou": classification.MulticlassJaccardIndex(average="macro", **options),
        "frequency_weighted_iou": classification.MulticlassJaccardIndex(
            average="weighted", **options
        ),
        "pixel_accuracy": classification.MulticlassAccuracy(average="micro", **options),
        "per_class_accuracy": classification.MulticlassAccuracy(average=None, **options),
    }
    # One image at a time: the metrics stream, too.
    for label, ids in zip(labels, predictions, strict=True):
        pair = [torch.from_numpy(np.ascontiguousarray(part, np.int64)) for part in (ids, label)]
        for metric in wanted.values():
            metric.set_dtype(torch.float64)
            metric.update(*(part[None] for part in pair))
    return {name: metric.compute().numpy() for name, metric in wanted.items()}


def torchmetrics_calibration(labels, probabilities, classes, bins=15):
    """`probabilities`: (height, width, classes) for each image."""
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    metric = classification.MulticlassCalibrationError(
        classes, n_bins=bins, norm="l1", ignore_index=255
    )
    for label, shares in zip(labels, probabilities, strict=True):
        metric.update(
            torch.from_numpy(shares.reshape(-1, classes)),
            torch.from_numpy(label.reshape(-1).astype(np.int64)),
        )
    return {"calibration_error": float(metric.compute())}


def cityscapesscripts(labels, predictions, classes, folder):
    """Its command's own function, on PNG files; classes stand for the first of its 19."""
    from PIL import Image

    evaluation = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    from cityscapesscripts.helpers.labels import labels as table

    known = sorted(label.trainId for label in table if 0 <= label.trainId < 19)
    ids = {label.trainId: label.id for label in table if label.trainId in known}
    names = {label.trainId: label.name for label in table if label.trainId in known}
    lookup = np.zeros(256, np.uint8)  # 0, "unlabeled", is ignored
    for k in range(classes):
        lookup[k] = ids[k]
    files = {"gt": [], "pred": []}
    for k, pair in enumerate(zip(labels, predictions, strict=True)):
        for kind, map_ in zip(files, pair, strict=True):
            files[kind].append(str(folder / f"{kind}_{k}.png"))
            Image.fromarray(lookup[map_.astype(np.uint8)]).save(files[kind][-1])
    arguments = evaluation.args
    arguments.quiet, arguments.JSONOutput, arguments.evalInstLevelScore = True, False, False
    found = evaluation.evaluateImgLists(files["pred"], files["gt"], arguments)
    return {
        "mean_iou": found["averageScoreClasses"],
        "per_class_iou": np.array([found["classScores"][names[k]] for k in range(classes)]),
    }


def tf_models(labels, predictions, classes):
    """Its metrics take logits of one size: the evaluation streams image by image."""
    import tensorflow as tf
    from official.vision.evaluation import segmentation_metrics

    mean = segmentation_metrics.MeanIoU(classes, dtype=tf.float64)
    per_class = segmentation_metrics.PerClassIoU(classes, dtype=tf.float64)
    for label, ids in zip(labels, predictions, strict=True):
        masks = tf.constant(label[None, ..., None], tf.int32)
        truth = {
            "masks": masks,
            "valid_masks": masks != 255,
            "image_info": tf.zeros((1, 4, 2)),
        }
        logits = tf.one_hot(ids[None].astype(np.int32), classes)
        mean.update_state(truth, logits)
        per_class.update_state(truth, logits)
    return {"mean_iou": float(mean.result()), "per_class_iou": per_class.result().numpy()}
