"""Reading, computing and writing side by side: order, errors, bounds, whole files."""

import threading

import pytest

from keras_ctxseg.prediction.background_reading import overlapped


def test_results_come_in_order_with_errors_in_their_place():
    def read(item):
        if item % 7 == 3:
            raise ValueError(f"cannot read {item}")
        return 10 * item

    def work(item, loaded):
        if item % 7 == 5:
            raise ValueError(f"cannot do {item}")
        return loaded + 1

    outcomes = dict(overlapped(range(40), read, work, lambda item, made: made + item))
    assert list(outcomes) == list(range(40))
    for item, outcome in outcomes.items():
        if item % 7 in (3, 5):
            assert str(outcome) == f"cannot {'read' if item % 7 == 3 else 'do'} {item}"
        else:
            assert outcome == 11 * item + 1


def test_it_reads_and_writes_while_it_works():
    """Each stage waits for another's event, which a pipeline of one thread never reaches."""
    next_is_read, last_is_written = threading.Event(), threading.Event()

    def read(item):
        if item == 2:
            next_is_read.set()
        return item

    def work(item, loaded):
        if item == 1:
            assert next_is_read.wait(30), "2 is read while 1 is worked on"
        if item == 3:
            assert last_is_written.wait(30), "0 is written while 3 is worked on"
        return loaded

    def write(item, made):
        if item == 0:
            last_is_written.set()
        return made

    assert [outcome for _, outcome in overlapped(range(5), read, work, write)] == [*range(5)]


def test_memory_is_bounded():
    started, finished, most = 0, 0, 0
    lock = threading.Lock()

    def read(item):
        nonlocal started, most
        with lock:
            started += 1
            most = max(most, started - finished)
        return item

    def write(item, made):
        nonlocal finished
        with lock:
            finished += 1

    list(overlapped(range(200), read, lambda item, loaded: loaded, write, ahead=4))
    # Four read ahead, one worked on, and five in the writers' queue.
    assert most <= 10


def test_an_interrupt_ends_it_after_what_is_being_written():
    written = []
    stream = overlapped(
        range(100),
        lambda item: item,
        lambda item, loaded: loaded,
        lambda item, made: written.append(item),
    )
    next(stream)

    def interrupted(item, loaded):
        raise KeyboardInterrupt

    stream.close()
    count = len(written)
    assert 1 <= count < 100
    with pytest.raises(KeyboardInterrupt):
        list(overlapped(range(5), lambda item: item, interrupted, lambda item, made: made))
    assert not [t for t in threading.enumerate() if t.name.startswith(("read", "write"))]
