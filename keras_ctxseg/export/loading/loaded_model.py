"""What every loaded export can do: label images of any size, one by one or many."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from keras_ctxseg.data.images import read_image

Image = np.ndarray | str | os.PathLike
Images = Iterable[Image] | np.ndarray | str | os.PathLike


class LoadedModel(ABC):
    """An exported model, ready to label images of any size.

    Attributes:
        path: the version's directory or the file.
        class_names: one a class; None where the export does not say.
        palette: uint8 (classes, 3) RGB, or None.
        ignore_label: the id of no class.
        input_size: height and width that images are resized to, or None where each is taken at its
            own size.
        batch: images of one size that go through it together at best.
    """

    def __init__(
        self,
        path: Path,
        class_names: list[str] | None,
        palette: list[list[int]] | None,
        ignore_label: int,
        input_size: tuple[int, int] | None,
        batch: int,
    ):
        self.path = path
        self.class_names = class_names
        self.palette = None if palette is None else np.asarray(palette, np.uint8)
        self.ignore_label = ignore_label
        self.input_size = input_size
        self.batch = batch

    def predict(self, images: Images) -> list[np.ndarray]:
        """Label maps of images, each at its image's own size.

        Args:
            images: uint8 arrays (height, width, 3), RGB, of any sizes, or one (batch, height,
                width, 3), or paths of JPEG and PNG files, mixed as you like; a path alone is one.

        Returns:
            int32 (height, width) for each image, in order.

        Raises:
            ValueError: not an image, or one that the model cannot take; the message names its
                place or path.
        """
        return list(self.stream(images))

    def stream(self, images: Images) -> Iterator[np.ndarray]:
        """As `predict`, one after the other as they are asked for, in bounded memory.

        Neighbours of one size go through the model together.
        """
        waiting: list[np.ndarray] = []
        for image in _arrays(images):
            full = len(waiting) == self.batch
            if waiting and (full or image.shape != waiting[0].shape):
                yield from self.segment(np.stack(waiting))
                waiting = []
            waiting.append(image)
        if waiting:
            yield from self.segment(np.stack(waiting))

    @abstractmethod
    def segment(self, images: np.ndarray) -> np.ndarray:
        """Class ids int32 (batch, height, width) of images uint8 (batch, height, width, 3)."""


def checked_image(image: np.ndarray, name: str) -> np.ndarray:
    """The image; ValueError that names it unless it is uint8 (height, width, 3)."""
    received = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise ValueError(f"{name}: expected a uint8 array (height, width, 3). Received {received}.")
    if image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise ValueError(f"{name}: expected a uint8 array (height, width, 3). Received {received}.")
    return image


def _arrays(images: Images) -> Iterator[np.ndarray]:
    if isinstance(images, str | os.PathLike):
        images = [images]
    if isinstance(images, np.ndarray) and images.ndim == 3:
        images = images[np.newaxis]
    for index, image in enumerate(images):
        if isinstance(image, str | os.PathLike):
            yield read_image(image)
        else:
            yield checked_image(image, f"images[{index}]")
