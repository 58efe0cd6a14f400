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

from keras_ctxseg.data.orientation import TAG, turned_back
from keras_ctxseg.data.palettes import segment_overlay
from keras_ctxseg.prediction.background_reading import overlapped
from keras_ctxseg.prediction.geotiff import MosaicLabels, has_georeference, save_geotiff
from keras_ctxseg.prediction.image_files import output_names
from keras_ctxseg.prediction.label_files import LabelFormat
from keras_ctxseg.prediction.progress import track

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class PredictedImage:
    """What was written for one image.

    Attributes:
        path: the image file.
        labels: PNG of class ids, of the image's own size; of a mosaic, a GeoTIFF.
        overlay: JPEG of the colours laid over the image, of its own size; of a mosaic, smaller.
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
        left_out: files in the folders that are no images.
    """

    images: tuple[PredictedImage, ...]
    failures: tuple[tuple[Path, str], ...]
    left_out: tuple[Path, ...] = ()


class Labelled(NamedTuple):
    """One image in RGB, its class ids, and what is drawn over it: those, or a panoptic label map.

    They are upright; `orientation` is EXIF's, by which the file's pixels were turned.
    """

    image: np.ndarray
    labels: np.ndarray
    shown: np.ndarray
    orientation: int = 1

    def stored(self) -> Labelled:
        """The same on the grid of the file's stored pixels."""
        image, labels, shown = (
            np.ascontiguousarray(turned_back(array, self.orientation))
            for array in (self.image, self.labels, self.shown)
        )
        return Labelled(image, labels, shown, self.orientation)


def write_predictions(
    files: Sequence[Path],
    output_dir: Path,
    read: Callable[[Path], Loaded],
    label: Callable[[Path, Path, Loaded], Labelled | MosaicLabels],
    form: LabelFormat,
    class_names: Sequence[str],
    opacity: float = 0.5,
    progress: bool = False,
    left_out: Sequence[Path] = (),
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
        left_out: files that are no images, for the list.
    """
    names = dict(zip(files, output_names(files), strict=True))
    label_names = {file: form.file_name(name) for file, name in names.items()}

    def write(file: Path, made: Labelled | MosaicLabels) -> PredictedImage:
        if isinstance(made, MosaicLabels):
            return write_mosaic(file, made)
        made = made.stored()
        png = output_dir / "labels" / label_names[file]
        jpeg = output_dir / "overlays" / f"{names[file]}.jpg"
        _save_whole(png, lambda path: form.save(path, made.labels))
        if made.orientation == 1 and has_georeference(file):
            _save_whole(
                png.with_name(f"{names[file].name}.tif"),
                lambda path: save_geotiff(path, made.labels, form.palette, file),
            )
        drawn = Image.fromarray(segment_overlay(made.image, made.shown, form.palette, opacity))
        # Without subsampling, as colours change at sharp edges.
        exif = Image.Exif()
        if made.orientation != 1:  # Viewers turn the overlay as they turn the image.
            exif[TAG] = made.orientation
        _save_whole(
            jpeg,
            lambda path: drawn.save(path, format="JPEG", quality=92, subsampling=0, exif=exif),
        )
        height, width = made.labels.shape
        return PredictedImage(file, png, jpeg, height, width, _shares(made.labels, class_names))

    def write_mosaic(file: Path, made: MosaicLabels) -> PredictedImage:
        tif = output_dir / "labels" / f"{names[file]}.tif"
        jpeg = output_dir / "overlays" / f"{names[file]}.jpg"
        tif.parent.mkdir(parents=True, exist_ok=True)
        os.replace(made.path, tif)
        drawn = Image.fromarray(segment_overlay(made.preview, made.labels, form.palette, opacity))
        _save_whole(jpeg, lambda path: drawn.save(path, format="JPEG", quality=92))
        shares = _shares_of(made.counts, class_names)
        return PredictedImage(file, tif, jpeg, made.height, made.width, shares)

    done: list[PredictedImage] = []
    failures: list[tuple[Path, str]] = []
    outcomes = overlapped(files, read, lambda file, loaded: label(file, names[file], loaded), write)
    for file, outcome in track(outcomes, "Predicting", len(files), progress):
        if isinstance(outcome, ValueError):
            failures.append((file, str(outcome)))
        else:
            done.append(outcome)
    result = PredictionResult(tuple(done), tuple(failures), tuple(left_out))
    output_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(result, output_dir), indent=1, ensure_ascii=False)
    (output_dir / "predictions.json").write_text(
        text + "\n", encoding="utf-8", errors="backslashreplace"
    )
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
    return _shares_of(np.bincount(labels.ravel(), minlength=len(class_names)), class_names)


def _shares_of(counts: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    return {
        name: float(count / counts.sum())
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
        "left_out": [str(path) for path in result.left_out],
    }
