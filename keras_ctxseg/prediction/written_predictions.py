"""Label maps and overlays as files, with the list of them; whichever way images were labelled."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from keras_ctxseg.data.palettes import segment_overlay
from keras_ctxseg.prediction.background_reading import overlapped
from keras_ctxseg.prediction.image_files import output_names
from keras_ctxseg.prediction.label_files import LabelFormat
from keras_ctxseg.prediction.progress import track

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class PredictedImage:
    """What was written for one image.

    Attributes:
        path: the image file.
        labels: PNG of class ids, of the image's own size.
        overlay: JPEG of the colours laid over the image, of the image's own size.
        height: in pixels.
        width: in pixels.
        shares: share of the pixels by class name, for the classes that occur.
    """

    path: Path
    labels: Path
    overlay: Path
    height: int
    width: int
    shares: dict[str, float]


@dataclass(frozen=True)
class PredictionResult:
    """What `predict` did.

    Attributes:
        images: one entry per image that went well.
        failures: `(path, message)` for each image that did not; the messages name the file.
    """

    images: tuple[PredictedImage, ...]
    failures: tuple[tuple[Path, str], ...]


class Labelled(NamedTuple):
    """One image, its class ids, and what is drawn over it: those, or a panoptic label map."""

    image: np.ndarray
    labels: np.ndarray
    shown: np.ndarray


def write_predictions(
    files: Sequence[Path],
    output_dir: Path,
    read: Callable[[Path], Loaded],
    label: Callable[[Path, Path, Loaded], Labelled],
    form: LabelFormat,
    class_names: Sequence[str],
    opacity: float = 0.5,
    progress: bool = False,
) -> PredictionResult:
    """Labels image files one by one while others are read and written, and lists them.

    Each file is written under another name first and then renamed: none is ever half there.

    Args:
        files: the images.
        output_dir: made where missing; files of the same name are overwritten.
        read: opens an image, in a thread.
        label: (file, its name in the output without suffix, what was read) to its labels.
        form: of the label maps; its palette is that of the overlays.
        class_names: one name for each class.
        opacity: of the colours in the overlay; 0 shows the image only.
        progress: draw a progress bar in the terminal.
    """
    names = dict(zip(files, output_names(files), strict=True))
    label_names = {file: form.file_name(name) for file, name in names.items()}

    def write(file: Path, made: Labelled) -> PredictedImage:
        png = output_dir / "labels" / label_names[file]
        jpeg = output_dir / "overlays" / f"{names[file]}.jpg"
        _save_whole(png, lambda path: form.save(path, made.labels))
        drawn = Image.fromarray(segment_overlay(made.image, made.shown, form.palette, opacity))
        # Without subsampling, as colours change at sharp edges.
        _save_whole(jpeg, lambda path: drawn.save(path, format="JPEG", quality=92, subsampling=0))
        height, width = made.labels.shape
        return PredictedImage(file, png, jpeg, height, width, _shares(made.labels, class_names))

    done: list[PredictedImage] = []
    failures: list[tuple[Path, str]] = []
    outcomes = overlapped(files, read, lambda file, loaded: label(file, names[file], loaded), write)
    for file, outcome in track(outcomes, "Predicting", len(files), progress):
        if isinstance(outcome, ValueError):
            failures.append((file, str(outcome)))
        else:
            done.append(outcome)
    result = PredictionResult(tuple(done), tuple(failures))
    output_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(result, output_dir), indent=1, ensure_ascii=False)
    (output_dir / "predictions.json").write_text(text + "\n", encoding="utf-8")
    return result


def _save_whole(path: Path, save: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".tmp-{path.name}")
    try:
        save(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _shares(labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(labels.ravel(), minlength=len(class_names))
    return {
        name: float(count / labels.size)
        for name, count in zip(class_names, counts, strict=True)
        if count
    }


def _plain(result: PredictionResult, output_dir: Path) -> dict:
    return {
        "images": [
            {
                "image": str(image.path),
                "labels": image.labels.relative_to(output_dir).as_posix(),
                "overlay": image.overlay.relative_to(output_dir).as_posix(),
                "height": image.height,
                "width": image.width,
                "shares": {name: round(share, 6) for name, share in image.shares.items()},
            }
            for image in result.images
        ],
        "failures": [{"image": str(path), "error": message} for path, message in result.failures],
    }
