"""Stops a run whose loss is no number any more, and keeps the batch that did it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.distribution.workers import Workers
from keras_ctxseg.training.progress import Progress

if TYPE_CHECKING:
    from keras_ctxseg.data import TrainPipeline


class TrainingDivergedError(ValueError):
    """The loss or a weight is no number any more; the message names the batch and the causes."""


class DivergenceGuard(keras.callbacks.Callback):
    """Looks at each loss that Keras has brought to the host anyway, and so costs no wait.

    The loss in the logs is the epoch's running mean: once it is no number it stays none, so that no
    bad step can be missed between two looks.

    Args:
        progress: knows the step.
        keep_batches: called with the first step's number and a count; writes those batches and
            returns where.
        checkpoints: folder that the message names.
        workers: those that have to stop together.
    """

    async_safe = True

    def __init__(
        self,
        progress: Progress,
        keep_batches: Callable[[int, int], Path],
        checkpoints: Path,
        workers: Workers,
    ):
        super().__init__()
        self.progress = progress
        self.keep_batches = keep_batches
        self.checkpoints = checkpoints
        self.workers = workers
        self._bad: tuple[int, float] | None = None
        self._lock = threading.Lock()

    @property
    def found(self) -> bool:
        """Whether a loss was no number; `fail` then has to be called."""
        return self._bad is not None

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            with self._lock:  # Keras' threads may be out of order.
                if self._bad is None or batch < self._bad[0]:
                    self._bad = (batch, loss)

    def on_epoch_end(self, epoch, logs=None):
        if any(self.workers.largest([self.found])):
            self.fail()

    def fail(self, what: str = "the loss became no number on another worker") -> NoReturn:
        """Writes the batches in question and raises `TrainingDivergedError`.

        Args:
            what: is said where this process has seen no bad loss itself.
        """
        progress = self.progress
        last = progress.step - 1
        if self._bad is not None:
            batch, loss = self._bad
            last, what = progress.first_step + batch, f"the loss became {loss}"
        # A loss breaks on its own batch, or on weights that the step before has broken.
        first = max(last - progress.plan.steps_per_execution, 0)
        kept = ""
        if self.workers.is_chief:
            try:
                path = self.keep_batches(first, last - first + 1)
                kept = f" Batches {first} to {last} are in {path}."
            except OSError as error:
                kept = f" The batch cannot be written: {error}."
        raise TrainingDivergedError(
            f"{what} in epoch {progress.epoch + 1}, batch {last} (counted from 0).{kept} Likely "
            f"causes: `training.learning_rate` is too high, or labels lie outside the classes. "
            f"The last good checkpoint is kept in {self.checkpoints}"
        )


def save_batches(pipeline: TrainPipeline, first: int, count: int, directory: str | Path) -> Path:
    """Draws batches of the training stream once more and writes them as one NumPy file.

    Args:
        pipeline: of the run; its batches depend on their number alone.
        first: number of the first batch, from 0.
        count: how many.
        directory: where `batch_<last number>.npz` goes. It holds `images` float32
            `(count, batch_size, height, width, 3)`, `labels` int32 without the last axis, `steps`
            `(count,)`, and of each example, `(count, batch_size)`: `numbers` in the stream,
            `indices` in the split, `names`.

    Raises:
        OSError: if the file cannot be written.
    """
    batches = list(pipeline.build(start_step=first).take(count).as_numpy_iterator())
    size = pipeline.batch_size
    numbers = np.arange(first * size, (first + count) * size).reshape(count, size)
    indices = np.array([int(pipeline.source_index(number)) for number in numbers.flat])
    reader = pipeline.dataset.reader(pipeline.split)
    names = [reader.read(tf.constant(index))["name"].numpy().decode() for index in indices]
    path = Path(directory) / f"batch_{first + count - 1:09d}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        images=np.stack([images for images, *_ in batches]),
        labels=np.stack([labels for _, labels, *_ in batches]),
        steps=np.arange(first, first + count),
        numbers=numbers,
        indices=indices.reshape(numbers.shape),
        names=np.reshape(names, numbers.shape),
    )
    return path
