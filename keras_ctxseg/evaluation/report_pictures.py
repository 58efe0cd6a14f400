"""Pictures of a report, as data URIs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from keras_ctxseg.data.palettes import colorize, segment_overlay
from keras_ctxseg.evaluation.samples import ReportSample
from keras_ctxseg.pages.page import fitting_size, jpeg_uri, png_uri, shrink_ids

LONGEST_SIDE = 480  # pixels; sharp on a phone, and a dozen images stay under 2 MB
WRONG = np.array([226, 29, 56], np.uint8)
IGNORED = np.array([120, 130, 150], np.uint8)


def sample_pictures(
    sample: ReportSample, palette: np.ndarray, ignore_label: int
) -> list[dict[str, str]]:
    """Image, truth, prediction and errors of one sample, as `{"caption", "uri"}` each."""
    predictions = {"prediction": sample.prediction}
    pictures = comparison_pictures(sample.image, sample.label, predictions, palette, ignore_label)
    pictures = [*pictures[:3], {**pictures[3], "caption": "errors"}]
    if sample.true_segments is not None and sample.segments is not None:
        pictures[1]["uri"] = _segments_uri(sample.true_segments, palette)
        pictures[2]["uri"] = _segments_uri(sample.segments, palette)
    return pictures


def _segments_uri(labels: np.ndarray, palette: np.ndarray) -> str:
    """Colours of the classes, with a line around each thing."""
    labels = shrink_ids(labels, fitting_size(labels.shape[0], labels.shape[1], LONGEST_SIDE))
    return png_uri(segment_overlay(np.zeros((*labels.shape, 3)), labels, palette, opacity=1.0))


def comparison_pictures(
    image: np.ndarray,
    label: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    palette: np.ndarray,
    ignore_label: int,
) -> list[dict[str, str]]:
    """Image, truth, then each prediction by its name and its errors."""
    size = fitting_size(label.shape[0], label.shape[1], LONGEST_SIDE)
    photo = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    truth = shrink_ids(label, size)
    pictures = [
        {"caption": "image", "uri": jpeg_uri(photo)},
        {"caption": "truth", "uri": png_uri(colorize(truth, palette))},
    ]
    for name, ids in predictions.items():
        guess = shrink_ids(ids, size)
        errors = _errors(np.asarray(photo), truth, guess, ignore_label)
        pictures += [
            {"caption": name, "uri": png_uri(colorize(guess, palette))},
            {"caption": f"errors of {name}", "uri": jpeg_uri(Image.fromarray(errors))},
        ]
    return pictures


def _errors(
    image: np.ndarray, label: np.ndarray, prediction: np.ndarray, ignore_label: int
) -> np.ndarray:
    """Wrong pixels in red over a pale grey image; ignored ones in flat grey."""
    grey = image.astype(np.float32).mean(axis=-1, keepdims=True) * 0.45 + 130.0
    picture = np.repeat(grey.astype(np.uint8), 3, axis=-1)
    ignored = label == ignore_label
    picture[(label != prediction) & ~ignored] = WRONG
    picture[ignored] = IGNORED
    return picture
