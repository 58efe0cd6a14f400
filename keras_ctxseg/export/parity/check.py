"""Does an exported file compute what its Keras model computes?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.resampling import resize_label, scaled_size
from keras_ctxseg.export.litert.forms import FORMS, LitertForm
from keras_ctxseg.export.loading.loaded_file import open_file
from keras_ctxseg.export.loading.metadata import read_labels_file
from keras_ctxseg.export.loading.resizing import resized_image
from keras_ctxseg.export.parity.reload import run_saved_model
from keras_ctxseg.export.parity.report import ParityReport
from keras_ctxseg.export.parity.tally import Limits, Tally, softmax
from keras_ctxseg.export.publishing.argument_checks import checked_images
from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.layers.normalize_images import normalization_in
from keras_ctxseg.models.segmentation_model import image_channels

_GROUP_BYTES = 2**29  # of logits that lie on the disk and in memory together


def check_parity(
    model: keras.Model,
    path: str | Path,
    images: Sequence[np.ndarray],
    label_maps: Sequence[np.ndarray] | None = None,
    ignore_label: int = IGNORE_LABEL,
    form: LitertForm | None = None,
) -> ParityReport:
    """Compares an exported file, loaded afresh, with the Keras model it was made from.

    A SavedModel is loaded and run by another Python process that never imports this package, on
    both of its signatures (RGB images PNG-encoded, in batches of mixed sizes, and all images one by
    one as floats); a LiteRT or ONNX file by its own runtime, the images resized to its input size.

    Args:
        model: the Keras model.
        path: a SavedModel's version directory, a `.tflite` or an `.onnx` file.
        images: uint8 arrays (height, width, 3), RGB, of any sizes; or arrays of the model's
            channels, if it takes others.
        label_maps: class ids (height, width) of the images, for the mean IoU of both; not for a
            SavedModel. They are brought to the input size as the images are (nearest pixel).
        ignore_label: the id of no class in `label_maps`.
        form: whose limits a file is held to; float32's by default.

    Returns:
        The report; whether it passed is for the caller to ask.

    Raises:
        ExportError: the file cannot be loaded or run, or its outputs have another form.
        ValueError: `images` is empty or not of that kind, or there are more or fewer label maps.
    """
    images = checked_images(images, model)
    path = Path(path)
    if path.is_dir():
        return _saved_model_parity(model, path, images)
    if label_maps is not None and len(label_maps) != len(images):
        raise ValueError(
            f"label_maps: expected one for each of the {len(images)} images."
            f" Received {len(label_maps)}."
        )
    file = open_file(path)
    tally = Tally(path, ignore_label)
    for index, image in enumerate(images):
        size = file.input_size or image.shape[:2]
        image = resized_image(image, size)
        reference = reference_logits(model, image, 1.0)
        result = file(image)
        truth = None
        if label_maps is not None:
            truth = resize_label(tf.constant(label_maps[index]), size).numpy()
        if file.output == "labels":
            tally.add(reference, None, result, truth)
        else:
            tally.add(reference, result, result.argmax(axis=-1), truth)
    return tally.report(Limits.of(FORMS["fp32"] if form is None else form))


def _saved_model_parity(model: keras.Model, path: Path, images: list[np.ndarray]) -> ParityReport:
    beside = read_labels_file(path)
    image_scale, reading = beside.image_scale, ImageReading.of(beside.images)
    tally = Tally(path)
    for some in _groups(images, model.output["logits"].shape[-1]):
        files: list[bytes] = []
        if not reading.is_plain and some[0].shape[-1] == 3 and max(reading.bands or (3,)) <= 3:
            files, some = as_files(some, reading)
        answer = run_saved_model(path, some, files)
        for image, logits, labels, scores in zip(
            some, answer.logits, answer.labels, answer.scores, strict=True
        ):
            reference = reference_logits(model, image, image_scale)
            tally.add(reference, logits, labels)
            # The scores of the encoded images are held to the same limit as the softmax.
            tally.worst(np.abs(scores - softmax(reference).max(axis=-1)))
    return tally.report(Limits())


def as_files(
    images: Sequence[np.ndarray], reading: ImageReading
) -> tuple[list[bytes], list[np.ndarray]]:
    """PNG files of 16 bits that are read as about these RGB images, and what is read from them."""
    levels = np.array(reading.range or ((0.0, 65535.0),), np.float64)
    low, high = levels.T
    # Of several bands the files hold those that are read, each in its place.
    places = [band - 1 for band in reading.bands or (1, 2, 3)]
    contents, read = [], []
    for image in images:
        stored = np.zeros((*image.shape[:2], 3), np.uint16)
        values = np.clip(np.round(low + image * ((high - low) / 255)), 0, 65535)
        for channel, place in enumerate(places):
            stored[..., place] = values[..., channel]
        contents.append(tf.io.encode_png(stored).numpy())
        read.append(reading.pixels(stored))
    return contents, read


def _groups(images: list[np.ndarray], classes: int) -> Iterator[list[np.ndarray]]:
    """Images one after the other, in lists whose logits, float32, fit into `_GROUP_BYTES`."""
    group: list[np.ndarray] = []
    held = 0
    for image in images:
        needed = 4 * image.shape[0] * image.shape[1] * classes
        if group and held + needed > _GROUP_BYTES:
            yield group
            group, held = [], 0
        group.append(image)
        held += needed
    yield group


def synthetic_images(
    sizes: Sequence[tuple[int, int]], seed: int = 0, model: keras.Model | None = None
) -> list[np.ndarray]:
    """Smooth random images with some noise, for checks where no real image is at hand.

    Args:
        sizes: height and width of each.
        seed: of the random numbers.
        model: that takes them; by default one of RGB images.

    Returns:
        uint8 RGB; or, for a model of other channels, float32 with the mean and the deviation that
        its normalisation has for each.
    """
    random = np.random.default_rng(seed)
    channels = 3 if model is None else image_channels(model)
    images = []
    for height, width in sizes:
        coarse = random.uniform(0, 255, (1, 6, 6, channels)).astype("float32")
        smooth = tf.image.resize(coarse, (height, width), method="bicubic")[0].numpy()
        noisy = np.clip(smooth + random.normal(0, 8, smooth.shape), 0, 255)
        if model is None or channels == 3:
            images.append(noisy.astype("uint8"))
            continue
        if (normalize := normalization_in(model)) is not None:
            noisy = (noisy - 127.5) / 75 * normalize.std + normalize.mean
        images.append(noisy.astype("float32"))
    return images


def reference_logits(model: keras.Model, image: np.ndarray, image_scale: float) -> np.ndarray:
    """The Keras model's logits, float32 (height, width, classes), for one image."""
    # On the CPU, where the exported file is run too: a GPU's own rounding is not the export's.
    with tf.device("CPU:0"):
        inputs = tf.cast(image[np.newaxis], tf.float32)
        if image_scale != 1.0:
            inputs = tf.image.resize(inputs, scaled_size(tf.constant(image.shape[:2]), image_scale))
        logits = model(inputs, training=False)["logits"]
        if image_scale != 1.0:
            logits = tf.image.resize(logits, image.shape[:2])
    return keras.ops.convert_to_numpy(logits)[0]
