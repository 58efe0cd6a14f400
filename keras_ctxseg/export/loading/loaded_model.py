"""What every loaded export can do: label images of any size, one by one or many."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.image_reading import ImageReading
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
        channels: of the images; 3 are RGB.
        reading: how image files are read, as in training.
    """

    def __init__(
        self,
        path: Path,
        class_names: list[str] | None,
        palette: list[list[int]] | None,
        ignore_label: int,
        input_size: tuple[int, int] | None,
        batch: int,
        channels: int = 3,
        images: Mapping[str, Any] | None = None,
    ):
        self.path = path
        self.class_names = class_names
        self.palette = None if palette is None else np.asarray(palette, np.uint8)
        self.ignore_label = ignore_label
        self.input_size = input_size
        self.batch = batch
        self.channels = channels
        self._knows_files = bool(images)
        self.reading = replace(ImageReading.of(images or {}), channels=channels)

    def predict(self, images: Images) -> list[np.ndarray]:
        """Label maps of images, each at its image's own size.

        Args:
            images: uint8 arrays (height, width, 3), RGB, of any sizes, or one (batch, height,
                width, 3), or paths of image files, which are read as in training (upright),
                mixed as you like; a path alone is one.
                For a model of images with other channels, arrays of any real numbers.

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
        for image in self._arrays(images):
            full = len(waiting) == self.batch
            if waiting and (full or image.shape != waiting[0].shape):
                yield from self.segment(np.stack(waiting))
                waiting = []
            waiting.append(image)
        if waiting:
            yield from self.segment(np.stack(waiting))

    def segment(self, images: np.ndarray) -> np.ndarray:
        """Class ids int32 (batch, height, width) of images uint8 (batch, height, width, 3).

        Raises:
            ValueError: images of other channels, or of a size that the model does not take.
        """
        if images.shape[-1] != self.channels:
            raise ValueError(
                f"expected images with {self.channels} channels. Received {images.shape[-1]}."
            )
        return self._segment(images)

    @abstractmethod
    def _segment(self, images: np.ndarray) -> np.ndarray: ...

    def _arrays(self, images: Images) -> Iterator[np.ndarray]:
        if isinstance(images, str | os.PathLike):
            images = [images]
        if isinstance(images, np.ndarray) and images.ndim == 3:
            images = images[np.newaxis]
        for index, image in enumerate(images):
            if not isinstance(image, str | os.PathLike):
                yield checked_image(image, f"images[{index}]", self.channels)
            elif self.channels == 3 or self._knows_files:
                yield read_image(image, self.reading)
            else:
                raise ValueError(
                    f"{os.fspath(image)}: expected an array (height, width, {self.channels}), as"
                    " files are read as RGB. Received a path."
                )


def checked_image(image: np.ndarray, name: str, channels: int = 3) -> np.ndarray:
    """The image; ValueError that names it unless it is an array (height, width, channels).

    RGB images must be uint8, others may be of any real numbers.
    """
    if isinstance(image, np.ndarray):
        numbers = image.dtype == np.uint8 if channels == 3 else image.dtype.kind in "uif"
        if numbers and image.ndim == 3 and image.shape[-1] == channels and image.size:
            return image
    expected = f"{'a uint8' if channels == 3 else 'an'} array (height, width, {channels})"
    received = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image)
    raise ValueError(f"{name}: expected {expected}. Received {received}.")
