"""Stops a run whose loss became NaN or infinite, and keeps the batches that did it."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.training.session import Session

if TYPE_CHECKING:
    from keras_ctxseg.data import TrainPipeline


class TrainingDivergedError(ValueError):
    """The loss or a weight became NaN or infinite; the message names the batch and the causes."""


class DivergenceGuard(keras.callbacks.Callback):
    """Ends the run at a loss that is NaN or infinite, without waiting for the device.

    It reads only losses that Keras has brought to the host. The loss in the logs is the epoch's
    running mean: once it is NaN it stays NaN, so no bad step is missed between two looks.
    """

    async_safe = True

    def __init__(self, session: Session):
        super().__init__()
        self.session = session
        self._lock = threading.Lock()

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            with self._lock:  # Keras' threads may be out of order.
                earlier = self.session.bad_loss
                if earlier is None or batch < earlier[0]:
                    self.session.bad_loss = (batch, loss)

    def on_epoch_end(self, epoch, logs=None):
        if any(self.session.workers.largest([self.session.bad_loss is not None])):
            fail(self.session)


def fail(
    session: Session, what: str = "the loss became NaN or infinite on another worker"
) -> NoReturn:
    """Writes the batches in question and raises `TrainingDivergedError`.

    Args:
        session: the run.
        what: the cause where this process has seen no bad loss itself.
    """
    last = session.state.step - 1
    if session.bad_loss is not None:
        batch, loss = session.bad_loss
        last, what = session.first_step + batch, f"the loss became {loss}"
    # A loss breaks on its own batch, or on weights that the step before has broken.
    first = max(last - session.plan.steps_per_execution, 0)
    kept = ""
    if session.workers.is_chief:
        try:
            count, directory = last - first + 1, session.directory.diverged
            path = save_batches(session.pipeline, first, count, directory)
            kept = f" Batches {first} to {last} are in {path}."
        except OSError as error:
            kept = f" The batch cannot be written: {error}."
    raise TrainingDivergedError(
        f"{what} in epoch {session.state.epoch + 1}, batch {last} (counted from 0).{kept} Likely "
        f"causes: `training.learning_rate` is too high, or labels lie outside the classes. "
        f"The last good checkpoint is kept in {session.directory.checkpoints}"
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
