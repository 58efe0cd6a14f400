"""Pictures of a report, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from keras_ctxseg.data.palettes import colorize
from keras_ctxseg.evaluation.samples import ReportSample

LONGEST_SIDE = 480  # pixels; sharp on a phone, and a dozen images stay under 2 MB
WRONG = np.array([226, 29, 56], np.uint8)
IGNORED = np.array([120, 130, 150], np.uint8)


def sample_pictures(
    sample: ReportSample, palette: np.ndarray, ignore_label: int
) -> list[dict[str, str]]:
    """Image, truth, prediction and errors of one sample, as `{"caption", "uri"}` each."""
    height, width = sample.label.shape
    factor = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    image = Image.fromarray(sample.image).resize(size, Image.Resampling.BILINEAR)
    label, prediction = (_shrink(ids, size) for ids in (sample.label, sample.prediction))
    errors = _errors(np.asarray(image), label, prediction, ignore_label)
    return [
        {"caption": "image", "uri": _jpeg(image)},
        {"caption": "truth", "uri": _png(colorize(label, palette))},
        {"caption": "prediction", "uri": _png(colorize(prediction, palette))},
        {"caption": "errors", "uri": _jpeg(Image.fromarray(errors))},
    ]


def _shrink(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    picture = Image.fromarray(ids.astype(np.int32))
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST))


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


def _jpeg(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return _uri(buffer, "jpeg")


def _png(colors: np.ndarray) -> str:
    buffer = io.BytesIO()
    # Label maps have few colours: a palette makes the file several times smaller.
    Image.fromarray(colors).quantize(256, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return _uri(buffer, "png")


def _uri(buffer: io.BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
