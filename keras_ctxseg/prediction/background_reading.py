"""Reading, computing and writing of many files, side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Made = TypeVar("Made")
Written = TypeVar("Written")

READERS = WRITERS = 2
AHEAD = 8


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Loaded],
    work: Callable[[Item, Loaded], Made],
    write: Callable[[Item, Made], Written],
    ahead: int = AHEAD,
) -> Iterator[tuple[Item, Written | ValueError]]:
    """Computes one item while threads read the next ones and write the last ones.

    Args:
        items: in the order in which results are wanted.
        read: run in threads.
        work: run in the caller's thread, one item after the other.
        write: run in threads. It should leave whole files or none.
        ahead: most items that are read and not yet worked on, and most that wait to be written:
            memory stays that of so many.

    Yields:
        Each item with what `write` returned, or with the ValueError that `read` or `work` raised.
        Other errors end it. What is being written then is written to its end.
    """
    source = iter(items)
    reading: deque[tuple[Item, Future]] = deque()
    writing: deque[tuple[Item, Future | ValueError]] = deque()
    readers = ThreadPoolExecutor(READERS, "read")
    writers = ThreadPoolExecutor(WRITERS, "write")

    def read_ahead() -> None:
        while len(reading) < ahead:
            try:
                item = next(source)
            except StopIteration:
                return
            reading.append((item, readers.submit(read, item)))

    try:
        read_ahead()
        while reading:
            item, future = reading.popleft()
            try:
                loaded = future.result()
                read_ahead()
                writing.append((item, writers.submit(write, item, work(item, loaded))))
            except ValueError as error:
                read_ahead()
                writing.append((item, error))
            while writing and (len(writing) > ahead or _is_done(writing[0][1])):
                yield _settled(*writing.popleft())
        while writing:
            yield _settled(*writing.popleft())
    finally:
        readers.shutdown(wait=True, cancel_futures=True)
        writers.shutdown(wait=True, cancel_futures=True)


def _is_done(outcome: Future | ValueError) -> bool:
    return isinstance(outcome, ValueError) or outcome.done()


def _settled(item, outcome: Future | ValueError):
    return item, outcome if isinstance(outcome, ValueError) else outcome.result()
