"""The newest checkpoint of a run and those before it, so that a damaged one costs little."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_ctxseg.runs.checkpoint import (
    CheckpointError,
    TrainingState,
    check_whole,
    restore,
    save_checkpoint,
)

if TYPE_CHECKING:
    import keras
    import numpy as np

_EARLIER = "step_*.keras"


class CheckpointHistory:
    """Writes `last.keras`; what it replaces stays beside it as `step_<number>.keras`.

    Args:
        newest: path of `last.keras`.
        keep: how many checkpoints there are at most, the newest included.
    """

    def __init__(self, newest: str | Path, keep: int = 2):
        self.newest = Path(newest)
        self.keep = keep
        self._whole_step: int | None = None  # Of `newest`, once this process knows it to be whole.

    def paths(self) -> list[Path]:
        """The checkpoints that exist, the newest first."""
        earlier = sorted(self.newest.parent.glob(_EARLIER), reverse=True)
        return [path for path in (self.newest, *earlier) if path.is_file()]

    def save(
        self,
        model: keras.Model,
        state: TrainingState,
        running_metrics: Sequence[np.ndarray] = (),
    ) -> None:
        """Writes the newest checkpoint and drops the oldest.

        Raises:
            CheckpointError: if the file system refuses; all checkpoints are then as before.
        """
        if self.keep > 1 and self._whole_step not in (None, state.step):
            self._set_aside(self._whole_step)
        save_checkpoint(model, self.newest, state, running_metrics)
        self._whole_step = state.step
        # Steps from here on belong to a past that was given up for a damaged file.
        stale = [path for path in self._earlier() if path.name >= _name(state.step)]
        kept = [path for path in self._earlier() if path not in stale]
        for path in (*stale, *kept[self.keep - 1 :]):
            path.unlink(missing_ok=True)

    def restore(
        self, model: keras.Model, say: Callable[[str], None] = print
    ) -> tuple[TrainingState, Path] | None:
        """Loads the newest checkpoint that is whole into a compiled model.

        Args:
            model: as `checkpoint.restore` wants it.
            say: is told of each damaged file that is passed over.

        Returns:
            The state and the file that it came from; None if there are no checkpoints.

        Raises:
            CheckpointError: if all are damaged, or the newest whole one belongs to another network
                or optimizer.
        """
        paths = self.paths()
        for path in paths:
            try:
                check_whole(path)
            except CheckpointError as error:
                say(f"Passed over {error}")
                continue
            state = restore(model, path)
            self._whole_step = state.step if path == self.newest else None
            return state, path
        if paths:
            raise CheckpointError(
                f"none of the {len(paths)} checkpoints in {self.newest.parent} can be read. "
                f"Begin again with --overwrite, or put one back from a copy"
            )
        return None

    def _earlier(self) -> list[Path]:
        return sorted(self.newest.parent.glob(_EARLIER), reverse=True)

    def _set_aside(self, step: int) -> None:
        path = self.newest.with_name(_name(step))
        path.unlink(missing_ok=True)
        try:
            os.link(self.newest, path)  # A second name: the newest is never missing.
        except FileNotFoundError:
            return  # Somebody deleted it.
        except OSError:  # A file system without links.
            os.replace(self.newest, path)


def _name(step: int) -> str:
    return f"step_{step:09d}.keras"
