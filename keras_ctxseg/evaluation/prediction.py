"""Label maps and overlays for images that have no truth."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from keras_ctxseg._grouping_options import GroupingOptions
from keras_ctxseg.data.images import is_turned, open_image, read_image
from keras_ctxseg.data.resampling import scale_image
from keras_ctxseg.evaluation.full_size import check_num_classes
from keras_ctxseg.evaluation.image_paths import Paths, find_images, output_names
from keras_ctxseg.evaluation.label_files import label_format
from keras_ctxseg.evaluation.panoptic.coco_format import CocoPanopticWriter
from keras_ctxseg.evaluation.panoptic.overlay import segment_overlay
from keras_ctxseg.evaluation.panoptic.predictor import PanopticPredictor
from keras_ctxseg.evaluation.predictor import Predictor
from keras_ctxseg.evaluation.progress import track
from keras_ctxseg.evaluation.protocol import Protocol


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


def predict(
    model: keras.Model,
    paths: Paths,
    output_dir: str | os.PathLike,
    palette: np.ndarray,
    class_names: Sequence[str],
    image_scale: float = 1.0,
    opacity: float = 0.5,
    progress: bool = False,
    format: str = "palette",
    protocol: Protocol | None = None,
    batch_size: int = 8,
    thing_classes: Sequence[int] = (),
    grouping: GroupingOptions | None = None,
) -> PredictionResult:
    """Writes `labels/<name>.png` and `overlays/<name>.jpg` for each image, and `predictions.json`.

    An image that cannot be read or is too small does not stop the others: it is reported in
    `failures`. Pixels are taken as stored, as in training: an EXIF orientation is not applied
    (a warning names such files).

    Args:
        model: takes float RGB images in 0 ... 255; returns logits, or a dict with "logits".
        paths: files, folders or globs, one or several.
        output_dir: made where missing; files of the same name are overwritten. Where it lies in a
            searched folder, its own files are not taken for images.
        palette: uint8 (classes, 3) RGB.
        class_names: one name for each class.
        image_scale: factor on the images before they go through the model, as in training. What is
            written has the image's own size.
        opacity: of the colours in the overlay; 0 shows the image only.
        progress: draw a progress bar in the terminal.
        format: of the label maps: "palette", "ids", "cityscapes" or "ade20k"; see `label_format`.
        protocol: scales, mirror images, windows; the plain prediction where missing.
        batch_size: most windows that go through the model together.
        thing_classes: ids of the classes whose objects a panoptic model tells apart. With them
            `panoptic/<name>.png` and `panoptic.json` hold the segments in COCO's format, and
            overlays have a line around each thing.
        grouping: how centres and offsets become segments.

    Raises:
        ValueError: no image is found, palette, names and model disagree on the classes, or classes
            or an image's name do not fit the format.
    """
    palette = np.asarray(palette, np.uint8)
    if palette.shape != (len(class_names), 3):
        raise ValueError(
            f"`palette` must be ({len(class_names)}, 3), a colour for each of `class_names`. "
            f"Received: shape {palette.shape}"
        )
    check_num_classes(model, len(class_names))
    predictor = Predictor(model, protocol, batch_size)
    if thing_classes:
        segmenter = PanopticPredictor(model, thing_classes, options=grouping, protocol=protocol)
        folder = Path(output_dir) / "panoptic"
        segments = CocoPanopticWriter(folder, class_names, palette, thing_classes)
    written = label_format(format, class_names, palette)
    output_dir = Path(output_dir)
    files = find_images(paths, leave_out=output_dir)
    done: list[PredictedImage] = []
    failures: list[tuple[Path, str]] = []
    names = [(name, written.file_name(name)) for name in output_names(files)]
    pairs = list(zip(files, names, strict=True))
    for file, (name, label_name) in track(pairs, "Predicting", len(pairs), progress):
        try:
            image, scaled = _scaled_file(predictor, file, image_scale)
        except ValueError as error:
            failures.append((file, str(error)))
            continue
        if thing_classes:
            found = segmenter(scaled[None], image.shape[:2])
            labels, shown = found.labels[0], found.panoptic[0]
            segments.add(name, shown, found.scores_by_label(0), str(file))
        else:
            labels = shown = predictor.label(scaled, image.shape[:2], name=str(file))
        png = output_dir / "labels" / label_name
        jpeg = output_dir / "overlays" / f"{name}.jpg"
        for path in (png, jpeg):
            path.parent.mkdir(parents=True, exist_ok=True)
        written.save(png, labels)
        Image.fromarray(segment_overlay(image, shown, palette, opacity)).save(
            jpeg,
            quality=92,
            subsampling=0,  # colours change at sharp edges
        )
        height, width = labels.shape
        shares = _shares(labels, class_names)
        done.append(PredictedImage(file, png, jpeg, height, width, shares))
    result = PredictionResult(tuple(done), tuple(failures))
    output_dir.mkdir(parents=True, exist_ok=True)
    if thing_classes:
        segments.close()
    text = json.dumps(_plain(result, output_dir), indent=1, ensure_ascii=False)
    (output_dir / "predictions.json").write_text(text + "\n", encoding="utf-8")
    return result


def _scaled_file(predictor: Predictor, file: Path, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """An image as it is, and as the network sees it, checked."""
    image = read_image(file)
    with open_image(file) as header:
        if is_turned(header):
            warnings.warn(
                f"{file}: its EXIF orientation is not applied; the result is turned like the "
                "stored pixels.",
                stacklevel=3,
            )
    scaled = image if scale == 1 else scale_image(image, scale).numpy()
    predictor.check(scaled, str(file))
    return image, scaled


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
