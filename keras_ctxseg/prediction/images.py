"""Label maps and overlays for images that have no truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg.data.resampling import scale_image
from keras_ctxseg.inference.full_size import check_num_classes
from keras_ctxseg.inference.panoptic import PanopticPredictor
from keras_ctxseg.inference.predictor import Predictor
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.panoptic.options import GroupingOptions
from keras_ctxseg.prediction.coco_panoptic import CocoPanopticWriter
from keras_ctxseg.prediction.image_files import (
    Paths,
    StoredImage,
    find_images,
    read_stored,
    warn_of_turned,
)
from keras_ctxseg.prediction.label_files import label_format
from keras_ctxseg.prediction.written_predictions import (
    Labelled,
    PredictionResult,
    write_predictions,
)


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

    Threads read the next images and write the last ones while the model works on one. An image
    that cannot be read or is too small does not stop the others: it is reported in
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
    output_dir = Path(output_dir)
    if thing_classes:
        segmenter = PanopticPredictor(model, thing_classes, options=grouping, protocol=protocol)
        folder = output_dir / "panoptic"
        segments = CocoPanopticWriter(folder, class_names, palette, thing_classes)

    def label(file: Path, name: Path, loaded: tuple[StoredImage, np.ndarray]) -> Labelled:
        (image, turned), scaled = loaded
        predictor.check(scaled, str(file))
        if turned:
            warn_of_turned(file)
        if thing_classes:
            found = segmenter(scaled[None], image.shape[:2])
            segments.add(str(name), found.panoptic[0], found.scores_by_label(0), str(file))
            return Labelled(image, found.labels[0], found.panoptic[0])
        labels = predictor.label(scaled, image.shape[:2], name=str(file))
        return Labelled(image, labels, labels)

    result = write_predictions(
        find_images(paths, leave_out=output_dir),
        output_dir,
        lambda file: _scaled_file(file, image_scale),
        label,
        label_format(format, class_names, palette),
        class_names,
        opacity,
        progress,
    )
    if thing_classes:
        segments.close()
    return result


def _scaled_file(file: Path, scale: float) -> tuple[StoredImage, np.ndarray]:
    """An image as it is, and as the network sees it."""
    stored = read_stored(file)
    return stored, stored.image if scale == 1 else scale_image(stored.image, scale).numpy()
