"""The examples of a batch that the replicas of one worker get."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BatchPart:
    """The part of a global batch that one worker makes, one batch for each of its replicas.

    The batch is cut into `pieces` consecutive pieces, each piece into one run of examples for
    every replica; so the m-th pieces of all replicas together are the m-th piece of the batch.

    Args:
        first_replica: number of this worker's first replica among all.
        local_replicas: replicas of this worker.
        replicas: of all workers.
        pieces: how many pieces a batch is trained in, one after another.
    """

    first_replica: int = 0
    local_replicas: int = 1
    replicas: int = 1
    pieces: int = 1

    def places(self, batch_size: int) -> np.ndarray:
        """Places in the batch, int64 `(local_replicas, examples of each)`, in their order.

        Raises:
            ValueError: if the batch does not split evenly.
        """
        if batch_size % (self.replicas * self.pieces):
            raise ValueError(
                f"`batch_size`: expected a multiple of {self.replicas * self.pieces}, for "
                f"{self.replicas} replicas and {self.pieces} pieces. Received: {batch_size}"
            )
        by_piece = np.arange(batch_size).reshape(self.pieces, self.replicas, -1)
        places = by_piece.transpose(1, 0, 2).reshape(self.replicas, -1)
        return places[self.first_replica : self.first_replica + self.local_replicas]
