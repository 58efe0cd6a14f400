"""Pictures of a report, as data URIs."""

from __future__ import annotations

import numpy as np
from PIL import Image

from keras_ctxseg.data.palettes import colorize
from keras_ctxseg.data.pictures import fitting_size, jpeg_uri, png_uri, shrink_ids
from keras_ctxseg.evaluation.samples import ReportSample

LONGEST_SIDE = 480  # pixels; sharp on a phone, and a dozen images stay under 2 MB
WRONG = np.array([226, 29, 56], np.uint8)
IGNORED = np.array([120, 130, 150], np.uint8)


def sample_pictures(
    sample: ReportSample, palette: np.ndarray, ignore_label: int
) -> list[dict[str, str]]:
    """Image, truth, prediction and errors of one sample, as `{"caption", "uri"}` each."""
    height, width = sample.label.shape
    size = fitting_size(height, width, LONGEST_SIDE)
    image = Image.fromarray(sample.image).resize(size, Image.Resampling.BILINEAR)
    label, prediction = (shrink_ids(ids, size) for ids in (sample.label, sample.prediction))
    errors = _errors(np.asarray(image), label, prediction, ignore_label)
    return [
        {"caption": "image", "uri": jpeg_uri(image)},
        {"caption": "truth", "uri": png_uri(colorize(label, palette))},
        {"caption": "prediction", "uri": png_uri(colorize(prediction, palette))},
        {"caption": "errors", "uri": jpeg_uri(Image.fromarray(errors))},
    ]


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
