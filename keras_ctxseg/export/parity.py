"""Does an exported file compute what its Keras model computes?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.data.resampling import scaled_size
from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.litert_file import run_litert
from keras_ctxseg.export.reload import read_labels_file, run_saved_model

MAX_SOFTMAX_DIFFERENCE = 1e-3
MIN_LABEL_AGREEMENT = 0.999


@dataclass(frozen=True)
class ParityReport:
    """How far an export is from its Keras model, over all pixels of the images compared.

    `label_agreement` is the share of pixels, 0 to 1, that have the same largest class.
    """

    path: str
    images: int
    pixels: int
    max_softmax_difference: float
    mean_softmax_difference: float
    label_agreement: float
    max_softmax_limit: float = MAX_SOFTMAX_DIFFERENCE
    label_agreement_limit: float = MIN_LABEL_AGREEMENT

    @property
    def passed(self) -> bool:
        """Both limits hold; NaN anywhere fails."""
        return (
            self.max_softmax_difference <= self.max_softmax_limit
            and self.label_agreement >= self.label_agreement_limit
        )

    def __str__(self) -> str:
        return (
            f"{'agrees' if self.passed else 'DISAGREES'} with the Keras model on {self.images}"
            f" images ({self.pixels} pixels): softmax differs by"
            f" {self.max_softmax_difference:.2e} at most (limit {self.max_softmax_limit:.0e}),"
            f" {self.mean_softmax_difference:.2e} on average; labels agree on"
            f" {100 * self.label_agreement:.4f} % (limit {100 * self.label_agreement_limit:g} %)"
        )


def check_parity(
    model: keras.Model, path: str | Path, images: Sequence[np.ndarray]
) -> ParityReport:
    """Compares an exported file, loaded afresh, with the Keras model it was made from.

    A SavedModel is loaded and run by another Python process that never imports this package, on
    both of its signatures (the images PNG-encoded, as one batch of mixed sizes, and one by one as
    floats); a LiteRT file by the LiteRT interpreter, the images resized to its input size.

    Args:
        model: the Keras model.
        path: a SavedModel's version directory or a `.tflite` file.
        images: uint8 arrays (height, width, 3), RGB, of any sizes.

    Returns:
        The report; whether it passed is for the caller to ask.

    Raises:
        ExportError: the file cannot be loaded or run, or its outputs have another form.
        ValueError: `images` is empty or not of that kind.
    """
    images = checked_images(images)
    path = Path(path)
    if path.is_dir():
        image_scale = read_labels_file(path).image_scale
        references = [reference_softmax(model, image, image_scale) for image in images]
        answer = run_saved_model(path, images)
        candidates = [softmax(logits) for logits in answer.logits]
        labels = answer.labels
        # The scores of the encoded images are held to the same limit as the softmax.
        extra = [
            np.abs(scores - reference.max(axis=-1))
            for scores, reference in zip(answer.scores, references, strict=True)
        ]
    else:
        candidates, resized = [], run_litert(path, images)
        references = []
        for image, logits in resized:
            references.append(reference_softmax(model, image, 1.0))
            candidates.append(softmax(logits))
        labels = [candidate.argmax(axis=-1) for candidate in candidates]
        extra = []
    return _report(path, references, candidates, labels, extra)


def require_parity(report: ParityReport) -> ParityReport:
    """Returns `report` if it passed, raises ExportError if it did not."""
    if not report.passed:
        raise ExportError(f"export refused: {report}")
    return report


def checked_images(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The images as a list; ValueError unless all are uint8 (height, width, 3)."""
    images = list(images)
    if not images:
        raise ValueError("images: expected at least one image to compare. Received none.")
    for index, image in enumerate(images):
        if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            received = (
                f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image)
            )
            raise ValueError(
                f"images[{index}]: expected a uint8 array (height, width, 3). Received {received}."
            )
    return images


def synthetic_images(sizes: Sequence[tuple[int, int]], seed: int = 0) -> list[np.ndarray]:
    """Smooth random uint8 images with some noise, for checks where no real image is at hand."""
    random = np.random.default_rng(seed)
    images = []
    for height, width in sizes:
        coarse = random.uniform(0, 255, (1, 6, 6, 3)).astype("float32")
        smooth = tf.image.resize(coarse, (height, width), method="bicubic")[0].numpy()
        noisy = smooth + random.normal(0, 8, smooth.shape)
        images.append(np.clip(noisy, 0, 255).astype("uint8"))
    return images


def reference_softmax(model: keras.Model, image: np.ndarray, image_scale: float) -> np.ndarray:
    """The Keras model's softmax, float32 (height, width, classes), for one uint8 image."""
    # On the CPU, where the exported file is run too: a GPU's own rounding is not the export's.
    with tf.device("CPU:0"):
        inputs = tf.cast(image[np.newaxis], tf.float32)
        if image_scale != 1.0:
            inputs = tf.image.resize(inputs, scaled_size(tf.constant(image.shape[:2]), image_scale))
        logits = model(inputs, training=False)["logits"]
        if image_scale != 1.0:
            logits = tf.image.resize(logits, image.shape[:2])
    return softmax(keras.ops.convert_to_numpy(logits)[0])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def _report(path, references, candidates, labels, extra) -> ParityReport:
    for reference, candidate in zip(references, candidates, strict=True):
        if reference.shape != candidate.shape:
            raise ExportError(
                f"{path}: expected logits {reference.shape}. Received {candidate.shape}."
            )
    differences = [
        np.abs(candidate - reference)
        for candidate, reference in zip(candidates, references, strict=True)
    ]
    agreeing = [
        np.count_nonzero(reference.argmax(axis=-1) == label_map)
        for reference, label_map in zip(references, labels, strict=True)
    ]
    pixels = sum(reference[..., 0].size for reference in references)
    return ParityReport(
        path=str(path),
        images=len(references),
        pixels=pixels,
        # np.max keeps a NaN, Python's max may lose it.
        max_softmax_difference=float(np.max([np.max(part) for part in (*differences, *extra)])),
        mean_softmax_difference=float(
            sum(part.sum(dtype=np.float64) for part in differences)
            / sum(part.size for part in differences)
        ),
        label_agreement=sum(agreeing) / pixels,
    )
