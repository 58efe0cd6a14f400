"""SIGTERM and SIGINT as a request: finish the step, save, leave."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

from keras_ctxseg.runs.checkpoint import TrainingState

PREEMPTED = 75
"""Exit code of a run that a signal ended and that goes on with `--resume`: `EX_TEMPFAIL`."""

_Item = TypeVar("_Item")


class PreemptedError(RuntimeError):
    """A run that a signal ended, after it was saved.

    Attributes:
        state: how far the run is.
        exit_code: for `ctxseg`.
    """

    exit_code = PREEMPTED

    def __init__(self, message: str, state: TrainingState):
        super().__init__(message)
        self.state = state


class StopRequestedError(Exception):
    """Ends a validation early; whoever validates saves the run and raises `PreemptedError`."""


class StopSignals:
    """Notes the first SIGTERM or SIGINT for the duration of a `with` block.

    A second signal does what it does in any program: it ends the process at once, also where
    Python waits for a graph. A signal that was ignored from the start (`nohup`, a shell's `&`)
    stays ignored. Outside the main thread, where Python allows no handlers, nothing is noted.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ending(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """`items` up to the first signal; then raises `StopRequestedError`."""
        for item in items:
            if self.received is not None:
                raise StopRequestedError
            yield item

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for known in self._before:
            signal.signal(known, signal.SIG_DFL)
        # `print` may not be entered again inside itself, where the signal may have come.
        text = f"\nctxseg: {self.received.name}: finishing the step and saving; again: ends at once"
        os.write(2, f"{text}\n".encode())
