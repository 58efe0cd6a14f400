"""Checks what an export is told against the model: classes, colours, sizes, images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from keras_ctxseg.export.loading.loaded_model import checked_image
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE, image_channels


def logits_channels(model: keras.Model) -> int:
    """Number of classes of a model with `"logits"`; ValueError for any other model."""
    output = getattr(model, "output", None)
    if not isinstance(output, dict) or "logits" not in output:
        received = sorted(output) if isinstance(output, dict) else type(output).__name__
        raise ValueError(
            f"model: expected a functional model whose output is a dict with 'logits'."
            f" Received {received}."
        )
    return output["logits"].shape[-1]


def checked_names(class_names: Sequence[str], channels: int) -> list[str]:
    """The names as a list; ValueError unless there is one for each channel of the logits."""
    if len(class_names) != channels:
        raise ValueError(
            f"class_names: expected {channels} names, one for each channel of the model's logits."
            f" Received {len(class_names)}."
        )
    return list(class_names)


def checked_palette(palette: np.ndarray | None, channels: int) -> list[list[int]] | None:
    """The palette as lists; ValueError unless it is RGB in 0..255, a colour a class."""
    if palette is None:
        return None
    palette = np.asarray(palette)
    if palette.shape != (channels, 3) or palette.min() < 0 or palette.max() > 255:
        found = f", {palette.min()} to {palette.max()}" if palette.size else ""
        raise ValueError(
            f"palette: expected integers (classes, 3) = ({channels}, 3) in 0..255."
            f" Received shape {palette.shape}{found}."
        )
    return palette.astype(int).tolist()


def checked_size(model: keras.Model, input_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width; ValueError for sides that the model does not take."""
    logits_channels(model)
    height, width = (int(side) for side in input_size)
    if min(height, width) < MINIMUM_SIZE:
        raise ValueError(
            f"input_size: expected height and width of at least {MINIMUM_SIZE}."
            f" Received {input_size!r}."
        )
    built = model.inputs[0].shape[1:3]
    if any(have not in (None, want) for have, want in zip(built, (height, width), strict=True)):
        raise ValueError(
            f"input_size: expected {tuple(built)}, which the model was built for."
            f" Received {input_size!r}."
        )
    return height, width


def checked_images(
    images: Sequence[np.ndarray], model: keras.Model, name: str = "images"
) -> list[np.ndarray]:
    """The images as a list; ValueError, about `name`, unless the model takes all of them.

    RGB images are uint8 (height, width, 3); see `checked_image` for others.
    """
    images = list(images)
    if not images:
        raise ValueError(f"{name}: expected at least one image. Received none.")
    channels = image_channels(model)
    return [
        checked_image(image, f"{name}[{index}]", channels) for index, image in enumerate(images)
    ]
