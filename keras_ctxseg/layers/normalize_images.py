"""The first layer of every model: from images to what a backbone expects."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from keras_ctxseg._naming import nearest

# Per-channel statistics of ImageNet on the 0...255 scale, as used by torchvision's ResNets.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
# To [-1, 1], as used by MobileNetV2 and Xception.
CENTRED_MEAN = (127.5, 127.5, 127.5)
CENTRED_STD = (127.5, 127.5, 127.5)

# Mean and standard deviation by name; "caffe" is what keras.applications' ResNets were trained on.
NORMALIZATIONS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "centred": (CENTRED_MEAN, CENTRED_STD),
    "caffe": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}

Statistics = tuple[float, ...]


def read_normalization(normalization: str | Mapping) -> tuple[Statistics, Statistics]:
    """Returns mean and deviation, given by name or as numbers.

    Args:
        normalization: A key of `NORMALIZATIONS`, or `{"mean": ..., "std": ...}`: a number each, or
            one a channel, on the scale of the images.

    Raises:
        ValueError: If there is no such name, or if the numbers do not fit or are not positive.
    """
    if isinstance(normalization, str):
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"`normalization` must be one of {list(NORMALIZATIONS)}, or {{'mean': ..., "
                f"'std': ...}}. Received: normalization={normalization!r}."
                + nearest(normalization, NORMALIZATIONS)
            )
        return NORMALIZATIONS[normalization]
    if not isinstance(normalization, Mapping) or set(normalization) != {"mean", "std"}:
        raise ValueError(
            "`normalization` must be a name or {'mean': ..., 'std': ...}. "
            f"Received: normalization={normalization!r}"
        )
    mean, std = (_numbers(normalization[key]) for key in ("mean", "std"))
    fit = mean and std and len({len(mean), len(std)} - {1}) <= 1
    if not fit or not np.isfinite(mean + std).all() or min(std) <= 0:
        raise ValueError(
            "`normalization` must have as many deviations as means, finite numbers, and deviations "
            f"above 0. Received: normalization={normalization!r}"
        )
    count = max(len(mean), len(std))
    return mean * (count // len(mean)), std * (count // len(std))


def _numbers(values: float | Sequence[float]) -> Statistics:
    """A number or a list of them as a tuple; empty for anything else."""
    try:
        found = np.atleast_1d(np.asarray(values, "float64"))
    except (TypeError, ValueError):
        return ()
    return tuple(found.tolist()) if found.ndim == 1 else ()


@keras.saving.register_keras_serializable("keras_ctxseg")
class NormalizeImages(keras.layers.Layer):
    """`(images - mean) / std` per channel, computed in float32 and cast to the compute dtype.

    Args:
        mean: One number a channel, on the scale of the images: 0...255 for RGB.
        std: One number a channel, on the same scale.

    Call arguments:
        images: `(batch, height, width, channels)`; RGB in 0...255.
    """

    def __init__(self, mean=IMAGENET_MEAN, std=IMAGENET_STD, **kwargs):
        # bfloat16 holds 0...255 only in steps of up to one, so the cast comes after the arithmetic.
        super().__init__(autocast=False, **kwargs)
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)

    def call(self, images):
        images = ops.cast(images, "float32")
        normalized = (images - ops.array(self.mean, "float32")) / ops.array(self.std, "float32")
        return ops.cast(normalized, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.pop("autocast", None)
        return {**config, "mean": self.mean, "std": self.std}


def normalization_in(model: keras.Model) -> NormalizeImages | None:
    """Finds the layer with which a model normalises its images; `None` if there is none."""
    layers = getattr(model, "layers", ())
    return next((layer for layer in layers if isinstance(layer, NormalizeImages)), None)
