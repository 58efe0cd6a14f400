"""TensorBoard: the epoch's scalars, and what the network sees in a few validation images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.data import palettes
from keras_ctxseg.data.image_reading import rgb_of
from keras_ctxseg.labels.panoptic import class_ids
from keras_ctxseg.training.event_file import EventFile

if TYPE_CHECKING:
    from keras_ctxseg.evaluation import Evaluator


class ScalarLog(keras.callbacks.Callback):
    """Writes every number of the epoch's logs, against the optimizer's step.

    Args:
        events: where to.
        step_after: step count after a 0-based epoch.
    """

    def __init__(self, events: EventFile, step_after: Callable[[int], int]):
        super().__init__()
        self.events = events
        self.step_after = step_after

    def on_epoch_end(self, epoch, logs=None):
        for name, value in {"epoch": epoch + 1, **(logs or {})}.items():
            self.events.scalar(name, value, self.step_after(epoch))
        self.events.flush()


class Overlays:
    """Draws image, truth and prediction of the same few validation images each time.

    Args:
        events: where to.
        evaluator: predicts with the network in training.
        palette: uint8 (classes, 3), RGB.
        examples: evaluation examples.
        count: how many are drawn, spread evenly over `size`.
        size: number of examples.
        show: the channels to draw, from 1.
    """

    def __init__(
        self,
        events: EventFile,
        evaluator: Evaluator,
        palette: np.ndarray,
        examples: tf.data.Dataset,
        count: int,
        size: int,
        show: tuple[int, int, int] | None = None,
    ):
        self.events = events
        self.show = show
        self.evaluator = evaluator
        self.palette = palette
        every = max(size // max(count, 1), 1)
        self.examples = list(
            examples.enumerate()
            .filter(lambda index, _: index % every == 0)
            .map(lambda _, example: example)
            .take(count)
            .as_numpy_iterator()
        )

    def __call__(self, epoch: int, step: int) -> None:
        for example in self.examples:
            name = Path(example["name"].decode()).stem
            self.events.image(f"validation/{name}", self._panel(example), step)
        self.events.flush()

    def _panel(self, example: dict[str, np.ndarray]) -> np.ndarray:
        label = class_ids(example["label"])
        predicted = self.evaluator.predict(example["image"], label.shape)
        image = tf.image.resize(example["image"], label.shape).numpy()
        image = rgb_of(np.clip(np.round(image), 0, 255).astype(np.uint8), self.show)
        drawn = [palettes.colorize(labels, self.palette) for labels in (label, predicted)]
        return np.concatenate([image, *drawn], axis=1)
