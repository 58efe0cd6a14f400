"""Evaluations made up from chances: each run has a share of right pixels for each class."""

import json

import numpy as np

CLASSES = 3
PROTOCOL = {"name": None, "scales": [1.0], "flip": False, "average": "logits", "window": None}


def label_counts(rng, images, classes=CLASSES, pixels=2000):
    """(images, classes) pixels by label; scenes differ much in what they show."""
    shares = rng.dirichlet(np.full(classes, 0.7), size=images)
    return np.stack([rng.multinomial(pixels, share) for share in shares])


def draw_confusions(rng, labels, skill, scatter=0.0):
    """(images, classes, classes) pixels; `skill` is the mean share of right ones."""
    images, classes = labels.shape
    right = np.clip(skill + scatter * rng.standard_normal(images), 0.02, 0.98)
    result = np.zeros((images, classes, classes), np.int64)
    for image in range(images):
        chances = np.full((classes, classes), (1 - right[image]) / (classes - 1))
        np.fill_diagonal(chances, right[image])
        for label in range(classes):
            result[image, label] = rng.multinomial(labels[image, label], chances[label])
    return result


def image_iou(confusion):
    """Of one image, class by class, over the classes that it or its prediction shows."""
    ious = []
    for k in range(len(confusion)):
        union = confusion[k].sum() + confusion[:, k].sum() - confusion[k, k]
        if union:
            ious.append(confusion[k, k] / union)
    return float(np.mean(ious)) if ious else None


def write_scores(path, confusions, **changes):
    """A `scores.json` with what comparisons read."""
    classes = confusions.shape[-1]
    content = {
        "format": 2,
        "ignore_label": 255,
        "classes": [{"id": k, "name": f"class{k}"} for k in range(classes)],
        "protocol": PROTOCOL,
        "images": [
            {
                "name": f"image{place}",
                "height": 40,
                "width": 50,
                "mean_iou": image_iou(confusion),
                "confusion": {
                    "cells": np.flatnonzero(confusion).tolist(),
                    "counts": confusion[confusion > 0].tolist(),
                },
            }
            for place, confusion in enumerate(confusions)
        ],
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
