"""What the workers of a run have to agree on."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

LOST_WORKER = 75
"""Exit code where another worker has stopped, that of a run that a signal ended: start again."""


class WorkerLostError(RuntimeError):
    """Another worker has stopped, and this one cannot go on alone; its message names it.

    Attributes:
        exit_code: for `ctxseg`.
    """

    exit_code = LOST_WORKER


class Workers:
    """The processes that train one model together.

    Args:
        strategy: what the model is trained under; all but `MultiWorkerMirroredStrategy` have one
            process that decides by itself.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.count, self.index = 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            cluster = resolver.cluster_spec().as_dict()
            chiefs = len(cluster.get("chief", ()))
            self.count = chiefs + len(cluster.get("worker", ()))
            if self.count > 1:
                is_worker = resolver.task_type == "worker"
                self.index = int(resolver.task_id) + (chiefs if is_worker else 0)

    @property
    def is_chief(self) -> bool:
        """Whether this process keeps the files."""
        return self.index == 0

    def largest(self, values: Sequence[float]) -> list[float]:
        """Element by element the largest of all workers' `values`; every worker has to ask."""
        if self.count == 1:
            return [float(value) for value in values]
        return np.max(self.gather(values), axis=0).tolist()

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """All workers' `values`, float64 `(workers, len(values))`; every worker has to ask."""
        own = np.asarray(values, np.float64)
        if self.count == 1:
            return own[None]
        rows = np.zeros((self.count, len(own)))
        rows[self.index] = own / self._strategy.num_replicas_in_sync * self.count
        return self._sum(tf.constant(rows)).numpy()

    @tf.function
    def _sum(self, rows: tf.Tensor) -> tf.Tensor:
        per_replica = self._strategy.run(lambda: tf.identity(rows))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)


def lost_workers(error: tf.errors.OpError) -> str | None:
    """Which workers an error of TensorFlow says to be gone, in words; None where it says nothing.

    TensorFlow notices it by a broken connection, or by heartbeats that stay away.
    """
    text = error.message
    gone = (tf.errors.UnavailableError, tf.errors.DeadlineExceededError)
    if "Collective ops is aborted" not in text and not isinstance(error, gone):
        return None
    after = text.partition("unhealthy")[2] or text
    tasks = sorted(set(re.findall(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)", after)))
    names = [f"{kind} {index}" for kind, index in tasks]
    return f"{' and '.join(names)} has stopped" if names else "another worker has stopped"
