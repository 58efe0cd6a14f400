"""A TensorBoard file whose writes can fail.

`tf.summary` writes in the background and drops what a full disk refuses. This writes the same
records (`Event` protos framed as TFRecord) through a writer that reports it.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.util.tensor_util import make_tensor_proto


class EventFile:
    """One event file in a run's TensorBoard folder; a resumed run adds another.

    Args:
        directory: the folder, made when needed.
        first_step: what earlier files say of this step and later ones, TensorBoard drops: a killed
            run may have logged more than it saved.

    Raises:
        OSError: here and in every method, if the file system refuses a write.
    """

    def __init__(self, directory: str | Path, first_step: int = 0):
        Path(directory).mkdir(parents=True, exist_ok=True)
        host, process = socket.gethostname(), os.getpid()
        # Two files of one second, in a fast test or restart, need different names.
        name = f"events.out.tfevents.{int(time.time()):010d}.{host}.{process}.{time.time_ns()}"
        self.path = Path(directory) / name
        self._records = tf.io.TFRecordWriter(str(self.path))
        self._write(Event(file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.SessionStatus.START)
        self._write(Event(session_log=start, step=first_step))
        self.flush()

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Writes one number."""
        summary = scalar_pb(tag, float(value))
        self._write(Event(summary=summary, step=step))

    def image(self, tag: str, image: np.ndarray, step: int) -> None:
        """Writes one picture, uint8 `(height, width, 3)`."""
        height, width, _ = image.shape
        parts = [str(width).encode(), str(height).encode(), tf.io.encode_png(image).numpy()]
        summary = Summary()
        summary.value.add(
            tag=tag,
            metadata=create_summary_metadata(None, None, converted_to_tensor=True),
            tensor=make_tensor_proto(parts),
        )
        self._write(Event(summary=summary, step=step))

    def flush(self) -> None:
        """Hands everything to the file system."""
        try:
            self._records.flush()
        except tf.errors.OpError as error:
            raise self._refused(error) from None

    def close(self) -> None:
        """Ends the file."""
        self.flush()
        self._records.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        try:
            self._records.write(event.SerializeToString())
        except tf.errors.OpError as error:
            raise self._refused(error) from None

    def _refused(self, error: tf.errors.OpError) -> OSError:
        return OSError(f"cannot write {self.path}: {error.message.split('; ')[-1]}")
