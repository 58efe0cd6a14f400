"""Label maps and overlays for images that have no truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.data.orientation import turned_back
from keras_ctxseg.data.resampling import scale_image
from keras_ctxseg.inference.full_size import check_num_classes
from keras_ctxseg.inference.panoptic import PanopticPredictor
from keras_ctxseg.inference.predictor import Predictor
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.panoptic.options import GroupingOptions
from keras_ctxseg.prediction.coco_panoptic import CocoPanopticWriter
from keras_ctxseg.prediction.geotiff import (
    Mosaic,
    MosaicLabels,
    label_mosaic,
    mosaic_protocol,
    open_mosaic,
)
from keras_ctxseg.prediction.image_files import (
    Paths,
    ReadImage,
    find_images,
    find_others,
    read_file,
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
    reading: ImageReading = PLAIN,
) -> PredictionResult:
    """Writes `labels/<name>.png` and `overlays/<name>.jpg` for each image, and `predictions.json`.

    Threads read the next images and write the last ones while the model works on one. An image
    that cannot be read or is too small does not stop the others: it is reported in
    `failures`; files in a folder that are no images are in `left_out`. The network sees images
    upright, as their EXIF orientation says; label maps and overlays have the grid of the file's
    stored pixels. A GeoTIFF's label map is also written as GeoTIFF, with its georeference; TIFF
    files of 67 megapixels or more are read and labelled window by window, into a GeoTIFF alone.

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
        reading: bands, range and orientation of the images, as in training.

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

    in_windows: list[Predictor] = []

    def label(
        file: Path, name: Path, loaded: tuple[ReadImage, np.ndarray] | Mosaic
    ) -> Labelled | MosaicLabels:
        if isinstance(loaded, Mosaic):
            if thing_classes:
                raise ValueError(f"{file}: a panoptic model takes images of 67 megapixels at most")
            if not in_windows:
                wanted = mosaic_protocol(protocol, image_scale)
                in_windows.append(Predictor(model, wanted, batch_size))
            target = output_dir / "labels" / f".tmp-{name.name}.tif"
            return label_mosaic(in_windows[0], loaded, target, palette, str(file))
        (image, orientation), scaled = loaded
        predictor.check(scaled, str(file))
        shown = reading.shown(image)
        if thing_classes:
            found = segmenter(scaled[None], image.shape[:2])
            panoptic = found.panoptic[0]
            stored = turned_back(panoptic, orientation)
            segments.add(str(name), stored, found.scores_by_label(0), str(file))
            return Labelled(shown, found.labels[0], panoptic, orientation)
        labels = predictor.label(scaled, image.shape[:2], name=str(file))
        return Labelled(shown, labels, labels, orientation)

    result = write_predictions(
        find_images(paths, leave_out=output_dir),
        output_dir,
        lambda file: open_mosaic(file, reading) or _scaled_file(file, image_scale, reading),
        label,
        label_format(format, class_names, palette),
        class_names,
        opacity,
        progress,
        find_others(paths, leave_out=output_dir),
    )
    if thing_classes:
        segments.close()
    return result


def _scaled_file(file: Path, scale: float, reading: ImageReading) -> tuple[ReadImage, np.ndarray]:
    """An image as it is, and as the network sees it."""
    read = read_file(file, reading)
    return read, read.image if scale == 1 else scale_image(read.image, scale).numpy()
